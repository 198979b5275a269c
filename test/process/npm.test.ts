import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findFreePort } from '../network.ts'
import { createTempFolder } from './child.ts'

const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))

for (const { signal, toGroup, title } of [
  { signal: 'SIGTERM', toGroup: false, title: 'A SIGTERM to npm' },
  { signal: 'SIGINT', toGroup: true, title: 'Ctrl-C, a SIGINT to npm and the service,' }
] as const) {
  t.test(`${title} stops the service after it has answered the open requests`, async (t) => {
    const port = await findFreePort()
    const npm = spawn('npm', ['start'], {
      cwd: REPOSITORY_ROOT,
      detached: true,
      env: {
        PATH: process.env.PATH,
        HOME: createTempFolder(t),
        PORT: String(port),
        APP_ENV: 'test',
        API_ACCESS: 'public',
        INTEGRATION_DB_URL: `sqlite:///${createTempFolder(t)}/integration.db`,
        VAULT_KEYS: `k1:${randomBytes(32).toString('base64')}`
      },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const pid = npm.pid ?? 0
    t.teardown(() => {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch {
        // The group is gone, as it should be.
      }
    })
    let output = ''
    npm.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const closed = once(npm.stdout, 'close')
    while (!output.includes('Server listening')) await once(npm.stdout, 'data')

    const url = `http://127.0.0.1:${port}`
    t.equal((await fetch(`${url}/healthz`)).status, 200)
    const openRequest = fetch(`${url}/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      duplex: 'half',
      body: new ReadableStream({
        async start(controller) {
          controller.enqueue(new TextEncoder().encode('{"email":'))
          await new Promise((resolve) => setTimeout(resolve, 1_500))
          controller.enqueue(new TextEncoder().encode('"ada@example.com"}'))
          controller.close()
        }
      })
    } as RequestInit)
    await new Promise((resolve) => setTimeout(resolve, 300))
    process.kill(toGroup ? -pid : pid, signal)

    t.equal((await openRequest).status, 201, 'the open request is answered')
    // The pipe closes when the last process that writes to it has ended.
    await closed
    await t.rejects(fetch(`${url}/healthz`), 'the port is free')
  })
}
