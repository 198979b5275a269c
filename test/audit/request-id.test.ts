import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { Browser, buildTestApp, buildSandboxEnv } from '../helper.ts'

t.test(
  'E6 Requests to Atlassian, the response and the log lines have the id of the incoming request',
  async (t) => {
    const requestHeaders: IncomingHttpHeaders[] = []
    const server = createServer(({ headers }, response) => {
      requestHeaders.push(headers)
      response.writeHead(403).end('{}')
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    const { app, lines } = await buildTestApp(
      t,
      buildSandboxEnv(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    )
    for (let i = 0; i < 10; i++) {
      const browser = new Browser(app)
      const start = await browser.open('/auth/jira/login?redirect=true')
      const state = new URL(String(start.headers.location)).searchParams.get('state') ?? ''
      const answer = await browser.open(`/auth/jira/callback?code=any&state=${state}`, {
        accept: 'application/json',
        'x-request-id': `mine-${i}`
      })
      t.equal(answer.headers['x-request-id'], `mine-${i}`)
      t.match(
        String(answer.headers.location ?? answer.body),
        new RegExp(`request_id[^\\w]+mine-${i}`)
      )
      t.ok(
        lines().some(
          ({ event, request_id: id }) => event === 'upstream_error' && id === `mine-${i}`
        )
      )
    }
    t.same(
      requestHeaders.map((headers) => headers['x-request-id']),
      Array.from({ length: 10 }, (_, i) => `mine-${i}`)
    )
  }
)
