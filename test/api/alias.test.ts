import t, { type Test } from 'tap'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { buildTestApp, buildSandboxEnv, SERVICE_URL } from '../helper.ts'
import { startSyncedService } from './synced-service.ts'

/** For each documented path, one request that succeeds and one that fails. */
const BODIES_BY_PATH: Record<string, object[]> = {
  '/users': [{ email: 'twin@example.com' }, { email: 'twin@example.com', unknown: 1 }],
  '/jira/projects': [
    { owner_id: 1, key: 'PAY', name: 'Payments' },
    { owner_id: 99, key: 'PAY', name: 'Payments' }
  ],
  '/confluence/pages': [{ owner_id: 1, space_key: 'S', page_id: '1', title: 'T' }, { owner_id: 1 }],
  '/integrations/jira/connect': [{ email: 'twin@example.com' }, { email: '@@@' }],
  '/integrations/confluence/connect': [{}, []],
  '/integrations/jira/sync': [{}],
  '/integrations/confluence/sync': [{}],
  '/users/{user_id}/connections/jira/check': [{}],
  '/users/{user_id}/connections/confluence/check': [{}, []],
  '/users/{user_id}/connections/jira/confirm-deletions': [{}],
  '/users/{user_id}/connections/confluence/confirm-deletions': [{}, []]
}
const QUERIES = ['', '?limit=1', '?limit=0', '?unknown=1']

async function buildRequests(app: FastifyInstance): Promise<InjectOptions[]> {
  const { paths } = app.swagger() as { paths: Record<string, Record<string, unknown>> }
  // Each export lists the earlier exports, so two exports differ.
  return Object.entries(paths)
    .filter(([path]) => !path.endsWith('/export'))
    .flatMap(([path, methods]) => {
      const ids = path.includes('{')
        ? ['1', '99', 'x'].map((id) => path.replace(/\{\w+\}/, id))
        : [path]
      return ids.flatMap((url) => [
        ...Object.keys(methods).flatMap((method): InjectOptions[] =>
          method === 'post'
            ? (BODIES_BY_PATH[path] ?? []).map((payload) => ({ method: 'POST', url, payload }))
            : QUERIES.map((query) => ({ method: 'GET', url: url + query }))
        ),
        { method: 'HEAD', url },
        {
          method: 'OPTIONS',
          url,
          headers: { origin: 'https://a.example', 'access-control-request-method': 'GET' }
        },
        // Removes no user between the two requests.
        { method: 'DELETE', url: `${url}?copies=neither` }
      ])
    })
}

/** Replaces what differs between two responses: ids, times and random values. */
function normalizeResponse(text: string): string {
  return text
    .replace(/(state=)[\w-]{43}/g, '$1STATE')
    .replace(/(\\"(created_at|started_at|finished_at|updated_at)\\":\\")[^"\\]*/g, '$1TIME')
}

async function requestNormalized(app: FastifyInstance, request: InjectOptions) {
  const {
    statusCode,
    headers: { date: _date, 'set-cookie': _cookie, ...headers },
    body
  } = await app.inject({ ...request, headers: { 'x-request-id': 'twin', ...request.headers } })
  return normalizeResponse(JSON.stringify({ statusCode, headers, body }))
}

const createPreparedApp = async (t: Test) => {
  const { app } = await buildTestApp(t, buildSandboxEnv('http://127.0.0.1:9'))
  for (const email of ['ada@example.com', 'bob@example.com', 'twin@example.com']) {
    await app.inject({ method: 'POST', url: '/users', payload: { email } })
  }
  for (const key of ['A', 'B', 'PAY']) {
    await app.inject({
      method: 'POST',
      url: '/jira/projects',
      payload: { owner_id: 1, key, name: 'N' }
    })
  }
  for (const id of ['1', '2']) {
    await app.inject({
      method: 'POST',
      url: '/confluence/pages',
      payload: { owner_id: 1, space_key: 'S', page_id: id, title: 'T' }
    })
  }
  return app
}

t.test(
  'Every documented path answers the same under /api, and links keep the prefix',
  async (t) => {
    const app = await createPreparedApp(t)
    const all = await buildRequests(app)
    t.ok(all.length > 100, `${all.length} requests`)
    const withPrefix = (text: string) =>
      text.replaceAll(/(\\")?("location\\?":\\?"|redirect_url\\":\\")\/(?!api\/)/g, '$1$2/api/')
    for (const request of all) {
      const plain = await requestNormalized(app, request)
      const twin = await requestNormalized(app, { ...request, url: `/api${String(request.url)}` })
      const same = normalizeLengths(withPrefix(plain)) === normalizeLengths(twin)
      if (same) t.pass(`${request.method} ${String(request.url)}`)
      else {
        t.equal(
          normalizeLengths(twin),
          normalizeLengths(withPrefix(plain)),
          `${request.method} ${String(request.url)}`
        )
      }
    }
  }
)

/** A prefix in the body adds four bytes. */
function normalizeLengths(text: string): string {
  return text.replace(/"content-length":"\d+"/, '"content-length":"N"')
}

t.test('redirect_url keeps the prefix of the request; Link is relative to it', async (t) => {
  const app = await createPreparedApp(t)
  for (const prefix of ['', '/api']) {
    const connect = await app.inject({ method: 'POST', url: `${prefix}/integrations/jira/connect` })
    t.equal(connect.json().redirect_url, `${prefix}/auth/jira/login`)
    t.match(
      (await app.inject(`${prefix}/users?limit=1`)).headers.link,
      /^<\?limit=1&cursor=[\w-]+>; rel="next"$/
    )
    t.match(
      (await app.inject(`${prefix}/jira/projects/1?limit=1`)).headers.link,
      /^<\?limit=1&cursor=/
    )
  }
})

t.test(
  'Location is relative to the URL of the request, with or without a slash at its end',
  async (t) => {
    const { app } = await startSyncedService(t, ['jira'])
    for (const path of ['/integrations/jira/sync', '/api/integrations/jira/sync/']) {
      const url = `${SERVICE_URL}${path}?mode=full`
      const started = await app.inject({ method: 'POST', url })
      t.equal(started.statusCode, 202)
      const { id } = started.json()
      const { location } = started.headers
      t.equal(location, path.endsWith('/') ? `runs/${id}` : `sync/runs/${id}`)
      const { pathname } = new URL(String(location), url)
      t.equal(pathname, `${path.replace(/\/$/, '')}/runs/${id}`)
      t.equal((await app.inject(pathname)).json().id, id)
    }
  }
)

t.test('/api is an alias of the root and has no alias below it', async (t) => {
  const { app } = await buildTestApp(t)
  t.equal((await app.inject('/api')).statusCode, 200)
  t.equal((await app.inject('/api/')).statusCode, 200)
  t.same((await app.inject('/api')).json(), (await app.inject('/')).json())
  for (const url of ['/api/api', '/api/api/users', '/apiusers', '/API/users', '/api//users']) {
    t.equal((await app.inject({ url })).statusCode, 404, url)
  }
})
