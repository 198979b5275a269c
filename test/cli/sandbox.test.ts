import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { runCommand, spawnCommand } from '../process/command.ts'

t.test(
  'The command prints the settings for the connector, serves, and stops on SIGTERM',
  async (t) => {
    const { child, completion, waitForOutput } = spawnCommand([
      'sandbox',
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
    ])
    t.teardown(() => child.kill('SIGKILL'))
    const { stdout } = await waitForOutput(/CONFLUENCE_OAUTH_CLIENT_SECRET/)
    t.match(stdout, /ATLASSIAN_AUTH_URL=http:\/\/127\.0\.0\.1:\d+\nATLASSIAN_API_URL=/)
    t.match(stdout, /JIRA_OAUTH_CLIENT_ID=sandbox-client\nJIRA_OAUTH_CLIENT_SECRET=sandbox-secret/)
    const url = /ATLASSIAN_AUTH_URL=(\S+)/.exec(stdout)?.[1]
    t.match(await (await fetch(`${url}/admin/state`)).json(), {
      sites: [{ sizes: { projects: 3, pages: 20 } }, {}]
    })
    child.kill('SIGTERM')
    t.equal((await completion).code, 0)
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
      const { code, stderr } = await runCommand(['sandbox', ...args])
      t.equal(code, 2)
      t.match(stderr, message)
      t.notMatch(stderr, /\n {4}at /)
    }
    const blocker = createServer().listen(0, '127.0.0.1')
    t.teardown(() => blocker.close())
    await once(blocker, 'listening')
    const { port } = blocker.address() as AddressInfo
    const { code, stderr } = await runCommand(['sandbox', '--port', String(port)])
    t.equal(code, 1)
    t.match(stderr, /port is already in use/)
  }
)
