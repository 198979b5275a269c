import t from 'tap'
import { buildSandboxEnv, buildTestApp } from '../helper.ts'
import { assertProblem, createCaller } from './helper.ts'

/** The endpoints that the earlier service had (docs/reference/contract.md). */
const EARLIER_ENDPOINTS = [
  '/',
  '/healthz',
  '/health/oauth',
  '/openapi.json',
  '/users',
  '/users/1',
  '/jira/projects/1',
  '/confluence/pages/1',
  '/integrations/jira/projects/fetch',
  '/integrations/confluence/pages/fetch',
  '/auth/jira/login'
]
/** Others, with their query parameters. */
const NEWER_ENDPOINTS: Array<[path: string, parameters: string[]]> = [
  ['/jira/issues/1', ['limit', 'cursor', 'project', 'updated_since', 'q']],
  [
    '/integrations/confluence/spaces/fetch',
    ['owner_id', 'limit', 'cursor', 'space', 'updated_since', 'q']
  ],
  ['/integrations/jira/sync/runs', ['owner_id', 'limit', 'cursor']],
  ['/users/1/changes', ['since', 'collections', 'limit', 'wait']],
  ['/audit', ['limit', 'cursor', 'user_id', 'action', 'since']],
  ['/users/1/connections', []],
  ['/users/1/export', []]
]
const UNKNOWN_NAMES = ['_', 'utm_source', 'Limit', 'owner', '__proto__', 'constructor', 'limit[]']

t.test('C1 T11 Endpoints of the earlier service ignore unknown query parameters', async (t) => {
  const { app } = await buildTestApp(t, buildSandboxEnv('http://127.0.0.1:9'))
  const { post, get } = createCaller(app)
  await post('/users', { email: 'ada@example.com' })
  for (const path of EARLIER_ENDPOINTS) {
    const { statusCode } = await get(path)
    for (const name of UNKNOWN_NAMES) {
      const answer = await get(`${path}?${encodeURIComponent(name)}=1`)
      t.equal(answer.statusCode, statusCode, `${path} ${name}`)
    }
  }
  t.equal((await post('/users?x=1', { email: 'ada@example.com' })).statusCode, 200)
  t.equal((await post('/integrations/jira/connect?x=1')).statusCode, 200)
  const project = { owner_id: 1, key: 'K', name: 'N' }
  t.equal((await post('/jira/projects?x=1', project)).statusCode, 201)
  t.equal((await get('/auth/jira/callback?x=1')).statusCode, 302)
  t.match(
    assertProblem(t, await get('/jira/projects/1?x=1&limit=0'), 422, 'validation_failed').errors,
    [{ pointer: '/limit' }],
    'known parameters are checked'
  )
})

t.test('C1 T11 Other endpoints refuse unknown query parameters and list their own', async (t) => {
  const { app } = await buildTestApp(t)
  const { post, get } = createCaller(app)
  await post('/users', { email: 'ada@example.com' })
  for (const [path, parameters] of NEWER_ENDPOINTS) {
    t.equal((await get(path)).statusCode, 200, path)
    const known =
      parameters.length === 0
        ? 'This endpoint has no query parameters.'
        : `This endpoint has ${parameters.join(', ')}.`
    for (const name of UNKNOWN_NAMES) {
      const body = assertProblem(
        t,
        await get(`${path}?${encodeURIComponent(name)}=1`),
        422,
        'validation_failed',
        `${path} ${name}`
      )
      t.same(body.errors, [{ pointer: `/${name}`, detail: `Unknown query parameter. ${known}` }])
      t.equal(body.detail, `Unknown query parameter ${name}. ${known}`)
    }
  }
})
