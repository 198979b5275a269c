import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const MAIN_PATH = fileURLToPath(new URL('../../src/main.js', import.meta.url))

function runSandbox(...args: string[]) {
  const child = spawn(process.execPath, [MAIN_PATH, 'sandbox', ...args], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const output = { out: '', err: '' }
  child.stdout.on('data', (data) => {
    output.out += data
  })
  child.stderr.on('data', (data) => {
    output.err += data
  })
  return { child, output, exit: once(child, 'exit') }
}

t.test(
  'The command prints the settings for the connector, serves, and stops on SIGTERM',
  async (t) => {
    const { child, output, exit } = runSandbox(
      '--port',
      '0',
      '--projects',
      '3',
      '--pages',
      '20',
      '--redirect-uri',
      'http://localhost:9/a',
      '--redirect-uri',
      'http://localhost:9/b'
    )
    t.teardown(() => child.kill('SIGKILL'))
    while (!output.out.includes('CONFLUENCE_OAUTH_CLIENT_SECRET')) await once(child.stdout, 'data')
    t.match(output.out, /ATLASSIAN_AUTH_URL=http:\/\/127\.0\.0\.1:\d+\nATLASSIAN_API_URL=/)
    t.match(
      output.out,
      /JIRA_OAUTH_CLIENT_ID=sandbox-client\nJIRA_OAUTH_CLIENT_SECRET=sandbox-secret/
    )
    const url = /ATLASSIAN_AUTH_URL=(\S+)/.exec(output.out)?.[1]
    t.match(await (await fetch(`${url}/admin/state`)).json(), {
      sites: [{ sizes: { projects: 3, pages: 20 } }, {}]
    })
    child.kill('SIGTERM')
    t.strictSame(await exit, [0, null])
  }
)

t.test(
  'An invalid option exits with 2, a port in use with 1, each with one sentence',
  async (t) => {
    for (const [args, message] of [
      [['--pages', 'many'], /--pages must be a whole number/],
      [['--colour', 'red'], /--colour/],
      [['--access', 'none'], /--access must be account or resource/]
    ] as const) {
      const { output, exit } = runSandbox(...args)
      t.equal((await exit)[0], 2)
      t.match(output.err, message)
      t.notMatch(output.err, /\n {4}at /)
    }
    const blocker = createServer().listen(0, '127.0.0.1')
    t.teardown(() => blocker.close())
    await once(blocker, 'listening')
    const { output, exit } = runSandbox('--port', String((blocker.address() as AddressInfo).port))
    t.equal((await exit)[0], 1)
    t.match(output.err, /port is already in use/)
  }
)
