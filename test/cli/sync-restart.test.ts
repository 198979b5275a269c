import { createServer } from 'node:http'
import t from 'tap'
import { createSyncClient } from '../../src/cli/sync-client.ts'
import { DEMO_CLIENT } from '../../src/sandbox/oauth/clients.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { spawnCommand } from '../process/command.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { measureDuration } from '../api/synced-service.ts'

// These tests mostly wait.
t.jobs = 6

t.test(
  'A watched run survives a restart of the service, and the watcher sees its end',
  async (t) => {
    const cwd = createTempFolder(t)
    const sandbox = await startSandbox(t, {
      sizes: { projects: 150, issues: 10 },
      indexLagMs: 0,
      clients: [{ ...DEMO_CLIENT, access: 'resource' }]
    })
    await sandbox.admin('faults', {
      kind: 'hang',
      match: { path: 'project/search' },
      skip: 1,
      times: 1
    })
    const env = {
      ATLASSIAN_AUTH_URL: sandbox.url,
      ATLASSIAN_API_URL: sandbox.url,
      APP_FRONTEND_URL: sandbox.url,
      JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
      JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
      JIRA_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/jira/callback'
    }
    const first = await startServiceProcess(t, { cwd, env })
    const { url: authorizeUrl } = (await (await fetch(`${first.url}/auth/jira/login`)).json()) as {
      url: string
    }
    const consent = await fetch(`${authorizeUrl}&sandbox_decision=accept`, { redirect: 'manual' })
    const { pathname, search } = new URL(consent.headers.get('location') ?? '')
    await fetch(first.url + pathname + search, { redirect: 'manual' })

    const syncCommand = spawnCommand(['sync', '--product', 'jira'], {
      env: { PORT: new URL(first.url).port }
    })
    await syncCommand.waitForOutput(/projects 100 of 150/)
    t.equal(await first.stop('SIGTERM'), 0)
    await syncCommand.waitForOutput(/The service is unavailable\. Retrying\./)
    await startServiceProcess(t, { cwd, env: { ...env, PORT: new URL(first.url).port } })
    t.match(await syncCommand.completion, {
      code: 0,
      stdout: /^Run 1 succeeded: 1[56]\d read, 160 added/,
      stderr: /already in progress/
    })
  }
)

t.test(
  'Sends the id of the last event when it reconnects, and stops reconnecting after a limit',
  async (t) => {
    const lastEventIds: unknown[] = []
    const server = createServer(({ headers }, response) => {
      lastEventIds.push(headers['last-event-id'])
      if (lastEventIds.length === 2) {
        return response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>')
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      // Cut in the middle of an event, with pauses between bytes.
      response.write('retry: 1000\n\n: a comment\n\nid: 1.a\r\nevent: progress\r\ndata: {"id"')
      setTimeout(() => {
        response.end(
          lastEventIds.length === 1
            ? ':1}\r\n\r\nid: 1.b\ndata: {"id'
            : ':2}\r\n\r\nid: 1.c\nevent: end\ndata: {"id":\ndata: 3}\n\n'
        )
      }, 20)
    }).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const address = server.address() as { port: number }
    const service = createSyncClient(
      `http://127.0.0.1:${address.port}`,
      new AbortController().signal
    )
    const eventIds: unknown[] = []
    let outages = 0
    for await (const run of service.streamRun('/events', () => {
      outages++
    })) {
      eventIds.push(run.id)
    }
    t.same(
      { eventIds, lastEventIds, outages },
      { eventIds: [1, 2, 3], lastEventIds: [undefined, '1.a', '1.a'], outages: 1 }
    )
    server.close()
    const [error, ms] = await measureDuration(
      service
        .streamRun('/events', () => {}, 500)
        .next()
        .then(
          () => undefined,
          (error: Error) => error
        )
    )
    t.match(error, {
      message:
        /^The service at http\S+ has been unavailable for 1 seconds\. The run resumes when it is back\.$/,
      exitCode: 1
    })
    t.ok(ms < 5_000)
  }
)
