import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../helper.ts'
import { canConnect } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'

const resolvePath = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const PROXY_INSTALL_FOLDER = resolvePath('../../node_modules/.cache/proxies')

/** The proxies with example configurations in docs/proxies, and how each starts. */
export const PROXIES = {
  nginx: {
    settings: 'nginx.conf',
    args: (path: string, cwd: string) => ['-p', cwd, '-c', path, '-e', 'stderr']
  },
  haproxy: { settings: 'haproxy.cfg', args: (path: string) => ['-db', '-f', path] }
}

/** Starts a real proxy with the documented configuration, except for its two addresses. */
export async function startProxy(
  t: TestContext,
  proxy: keyof typeof PROXIES,
  service: string,
  port: number
): Promise<string> {
  const { settings, args } = PROXIES[proxy]
  const cwd = createTempFolder(t)
  const path = join(cwd, settings)
  writeFileSync(
    path,
    readFileSync(resolvePath(`../../docs/proxies/${settings}`), 'utf8')
      .replace('127.0.0.1:3000', new URL(service).host)
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
  )
  mkdirSync(join(cwd, 'body'))
  const libraries = existsSync(join(PROXY_INSTALL_FOLDER, 'usr/lib'))
    ? readdirSync(join(PROXY_INSTALL_FOLDER, 'usr/lib')).map((name) =>
        join(PROXY_INSTALL_FOLDER, 'usr/lib', name)
      )
    : []
  const command =
    [join(PROXY_INSTALL_FOLDER, 'usr/sbin', proxy), `/usr/sbin/${proxy}`].find(existsSync) ?? proxy
  const child = spawn(command, args(path, cwd), {
    cwd,
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exited
  })
  await waitFor(async () => {
    if (child.exitCode !== null) throw new Error(`${proxy} ended with ${child.exitCode}: ${output}`)
    return await canConnect(port)
  }, 10_000)
  return `http://127.0.0.1:${port}`
}
