import t from 'tap'
import { buildTestApp, buildSandboxEnv, VAULT_KEY, CLIENT_SECRET } from '../helper.ts'

t.test('GET / returns the original response', async (t) => {
  const { app } = await buildTestApp(t)
  t.same((await app.inject('/')).json(), {
    status: 'success',
    message: 'service healthy',
    data: { service: 'integration_backend', health: 'healthy' }
  })
})

t.test(
  'E4 /healthz is ready when the database answers, whatever the state of Atlassian',
  async (t) => {
    const { app } = await buildTestApp(t, buildSandboxEnv('http://127.0.0.1:9'))
    const ready = await app.inject('/healthz')
    t.equal(ready.statusCode, 200)
    t.same(ready.json(), {
      status: 'ok',
      checks: { database: 'ok', migrations: 'ok', vault_key: 'ok', accepting: 'ok' }
    })
  }
)

t.test(
  'E4 /healthz returns 503 and names the check when the database fails or does not answer',
  async (t) => {
    for (const migrated of [
      async () => {
        throw new Error('planted reason')
      },
      async () => await new Promise<never>(() => {})
    ]) {
      const { app, lines } = await buildTestApp(t)
      app.store.isMigrated = migrated
      const answer = await app.inject('/healthz')
      t.equal(answer.statusCode, 503)
      t.match(answer.json(), {
        status: 'unavailable',
        checks: { database: 'failed', vault_key: 'ok' }
      })
      t.notMatch(answer.body, 'planted reason')
      t.match(
        lines().find(({ event }) => event === 'health_error'),
        { level: 'error' }
      )
    }
  }
)

t.test('E1 E4 /healthz returns 503 as soon as the service drains', async (t) => {
  const { app } = await buildTestApp(t)
  const { isMigrated } = app.store
  // Resolves when a health check is running while the service closes.
  let looked = () => {}
  const looking = new Promise<void>((resolve) => {
    looked = resolve
  })
  let goOn = () => {}
  const gate = new Promise<void>((resolve) => {
    goOn = resolve
  })
  app.store.isMigrated = async () => {
    looked()
    await gate
    return await isMigrated()
  }
  const answer = app.inject('/healthz')
  await looking
  const closing = app.close()
  await new Promise((resolve) => setTimeout(resolve, 50))
  goOn()
  const response = await answer
  t.equal(response.statusCode, 503)
  t.match(response.json(), { checks: { accepting: 'failed' } })
  await closing
})

t.test(
  'E4 /health/oauth lists which settings are set and from which variable, and no secret',
  async (t) => {
    const { app } = await buildTestApp(t, {
      NEXT_PUBLIC_JIRA_OAUTH_CLIENT_ID: 'the-client-id',
      ATLASSIAN_CLIENT_SECRET: CLIENT_SECRET,
      CONFLUENCE_REDIRECT_URI: 'https://app.example.com/api/auth/confluence/callback',
      JIRA_OAUTH_SCOPES: 'read:jira-work offline_access'
    })
    const answer = await app.inject('/health/oauth')
    const points = {
      quota: 65_000,
      quota_source: 'setting',
      used: 0,
      remaining: 65_000,
      next_reset: new Date((Math.floor(Date.now() / 3_600_000) + 1) * 3_600_000).toISOString(),
      blocked_until: null
    }
    t.same(answer.json(), {
      jira: {
        points,
        configured: false,
        client_id: { present: true, from: 'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_ID' },
        client_secret: { present: true, from: 'ATLASSIAN_CLIENT_SECRET' },
        redirect_uri: { present: false, from: null },
        redirect_uri_in_use: null,
        scopes: ['read:jira-work', 'offline_access', 'read:me']
      },
      confluence: {
        points,
        configured: true,
        client_id: { present: true, from: 'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_ID' },
        client_secret: { present: true, from: 'ATLASSIAN_CLIENT_SECRET' },
        redirect_uri: { present: true, from: 'CONFLUENCE_REDIRECT_URI' },
        redirect_uri_in_use: 'https://app.example.com/api/auth/confluence/callback',
        scopes: [
          'read:space:confluence',
          'read:page:confluence',
          'search:confluence',
          'read:me',
          'offline_access'
        ]
      }
    })
    for (const secret of [CLIENT_SECRET, VAULT_KEY.split(':')[1] ?? '', 'the-client-id']) {
      t.notMatch(answer.body, secret)
    }
  }
)

t.test('C12 No response names the server or its version', async (t) => {
  const { app } = await buildTestApp(t)
  for (const url of ['/', '/users', '/nothing', '/%zz', '/docs/', '/healthz']) {
    const { headers } = await app.inject(url)
    t.equal(headers.server, undefined)
    t.equal(headers['x-powered-by'], undefined)
  }
})

// test/limits/time-limit.test.ts proves the limit of handlers.
t.test('E3 T32 The server sets every timeout', async (t) => {
  const { app } = await buildTestApp(t)
  const { requestTimeout, connectionTimeout, keepAliveTimeout, maxRequestsPerSocket } =
    app.initialConfig as Record<string, number>
  t.match(
    [requestTimeout, connectionTimeout, keepAliveTimeout, maxRequestsPerSocket].map(
      (value) => typeof value === 'number' && value > 0
    ),
    [true, true, true, true]
  )
  const { server } = app
  for (const name of [
    'requestTimeout',
    'headersTimeout',
    'timeout',
    'keepAliveTimeout',
    'maxRequestsPerSocket'
  ] as const) {
    t.ok(
      (server[name] ?? 0) > 0 && Number.isFinite(server[name]),
      `server.${name} is ${server[name]}`
    )
  }
})

t.test('C12 T39 Production serves nothing of the sandbox', async (t) => {
  const { app } = await buildTestApp(t, { APP_ENV: 'production' })
  t.equal(app.sandbox, null)
  for (const prefix of ['', '/api']) {
    for (const path of [
      '',
      '/',
      '/authorize',
      '/oauth/token',
      '/oauth/token/accessible-resources',
      '/me',
      '/admin/state',
      '/admin/reset',
      '/ex/jira/8f0c1d3e-2222-4b4b-9a9a-000000000001/rest/api/3/project/search',
      '/anything'
    ]) {
      for (const method of ['GET', 'POST', 'HEAD', 'DELETE'] as const) {
        t.equal(
          (await app.inject({ method, url: `${prefix}/sandbox${path}` })).statusCode,
          404,
          `${method} ${prefix}/sandbox${path}`
        )
      }
    }
  }
  const { app: development } = await buildTestApp(t)
  t.ok(development.sandbox, 'development serves it')
  t.equal((await development.inject('/sandbox/authorize')).statusCode === 404, false)
})
