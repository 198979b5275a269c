import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { buildTestApp } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

const POST_PATHS = [
  '/users',
  '/jira/projects',
  '/confluence/pages',
  '/integrations/jira/connect',
  '/integrations/confluence/connect'
]
/** The body limit, repeated here on purpose so that a change of the limit fails a test. */
const MAX_BODY_BYTES = 64 * 1024

/** An app with one user. */
const createAppWithUser = async (t: Test) => {
  const built = await buildTestApp(t)
  const { post, get } = createCaller(built.app)
  await post('/users', { email: 'ada@example.com' })
  return { ...built, post, get }
}

t.test('400: a body that is not JSON', async (t) => {
  const { post } = await createAppWithUser(t)
  const broken = [
    '{',
    '}',
    '{]',
    '[',
    "{'a':1}",
    '{"a":1,}',
    '{"a":01}',
    'NaN',
    '{"email":NaN}',
    '{"owner_id":Infinity}',
    'undefined',
    '\u0000',
    '{"a":"\u0001"}',
    '{"a":"\\x"}',
    '<xml/>',
    'email=a@b.co',
    '\ufeff{',
    '{"a":1}{"b":2}',
    '-',
    '1e',
    '"',
    `${'['.repeat(60_000)}`
  ]
  for (const path of POST_PATHS) {
    for (const body of broken) {
      assertProblem(
        t,
        await post(path, body),
        400,
        'invalid_json',
        `${path} ${JSON.stringify(body.slice(0, 20))}`
      )
    }
  }
})

t.test('404 and 405: an unknown path, and a known path with another method', async (t) => {
  const { app, get } = await createAppWithUser(t)
  for (const url of [
    '/nothing',
    '/users/1/tokens',
    '/user',
    '/auth',
    '/auth/jira',
    '/integrations',
    '/oauth',
    '/api/nothing',
    '/.env',
    '/%00',
    '/users%2F1',
    '/../etc/passwd',
    '/metrics',
    '/jira/issues',
    '/confluence/spaces',
    '/users/1/changes/1',
    '/healthz/x',
    '/*',
    '/:user_id'
  ]) {
    assertProblem(t, await get(url), 404, 'not_found', url)
  }
  const allowed: Array<[url: string, wrong: string, allow: string[]]> = [
    ['/users', 'DELETE', ['GET', 'HEAD', 'POST']],
    ['/users', 'PUT', ['GET', 'HEAD', 'POST']],
    ['/users/1', 'POST', ['DELETE', 'GET', 'HEAD']],
    ['/users/1', 'PATCH', ['DELETE', 'GET', 'HEAD']],
    ['/users/1/connections', 'DELETE', ['GET', 'HEAD']],
    ['/users/1/connections/jira', 'GET', ['DELETE', 'PATCH']],
    ['/api/users/1/connections/jira/site', 'GET', ['PUT']],
    ['/users/1/connections/jira/check', 'GET', ['POST']],
    ['/users/1/connections/jira/confirm-deletions', 'GET', ['POST']],
    ['/users/1/changes', 'POST', ['GET', 'HEAD']],
    ['/jira/issues/1', 'POST', ['GET', 'HEAD']],
    ['/confluence/spaces/1', 'PUT', ['GET', 'HEAD']],
    ['/integrations/jira/sync', 'GET', ['POST']],
    ['/integrations/jira/sync/runs/1', 'POST', ['DELETE', 'GET', 'HEAD']],
    ['/integrations/confluence/sync/runs/1/events', 'DELETE', ['GET', 'HEAD']],
    ['/', 'POST', ['GET', 'HEAD']],
    ['/healthz', 'POST', ['GET', 'HEAD']],
    ['/jira/projects', 'GET', ['POST']],
    ['/jira/projects/1', 'DELETE', ['GET', 'HEAD']],
    ['/integrations/jira/connect', 'GET', ['POST']],
    ['/integrations/jira/projects/fetch', 'POST', ['GET', 'HEAD']],
    ['/auth/jira/login', 'POST', ['GET', 'HEAD']],
    ['/auth/confluence/callback', 'POST', ['GET']],
    ['/api/users', 'DELETE', ['GET', 'HEAD', 'POST']],
    ['/users/', 'TRACE', ['GET', 'HEAD', 'POST']],
    ['/openapi.json', 'PUT', ['GET', 'HEAD']]
  ]
  for (const [url, method, allow] of allowed) {
    const answer = await app.inject({ method: method as 'PUT', url })
    assertProblem(t, answer, 405, 'method_not_allowed', `${method} ${url}`)
    t.same(
      String(answer.headers.allow)
        .split(', ')
        .filter((each) => each !== 'OPTIONS')
        .sort(),
      allow
    )
  }
})

t.test('400: a malformed URL', async (t) => {
  const { get } = await createAppWithUser(t)
  for (const url of [
    '/%zz',
    '/users/%',
    '/users/%zz',
    '/users/%E0%A4%A',
    '/api/users/%ff',
    '/%',
    '/users/%c0%ae'
  ]) {
    assertProblem(t, await get(url), 400, 'bad_request', url)
  }
})

t.test('C5 T32 413: one byte more than 64 KiB', async (t) => {
  const { app, post } = await createAppWithUser(t)
  for (const path of POST_PATHS) {
    assertProblem(
      t,
      await post(path, Buffer.alloc(MAX_BODY_BYTES + 1, ' ')),
      413,
      'payload_too_large',
      path
    )
    assertProblem(
      t,
      await post(path, JSON.stringify({ email: 'x'.repeat(MAX_BODY_BYTES) })),
      413,
      'payload_too_large',
      path
    )
  }
  assertProblem(
    t,
    await post(
      '/users',
      Buffer.concat([
        Buffer.from('{"email":"big@example.com"}'),
        Buffer.alloc(MAX_BODY_BYTES, ' ')
      ]).subarray(0, MAX_BODY_BYTES + 1)
    ),
    413,
    'payload_too_large'
  )
  const fits = Buffer.concat([
    Buffer.from('{"email":"big@example.com"}'),
    Buffer.alloc(MAX_BODY_BYTES, ' ')
  ]).subarray(0, MAX_BODY_BYTES)
  t.equal((await post('/users', fits)).statusCode, 201, 'exactly 64 KiB are accepted')
  t.equal((await app.inject('/users')).json().length, 2)
})

t.test('C1 C5 415: anything but JSON', async (t) => {
  const { app, post } = await createAppWithUser(t)
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'text/json',
    'application/jsonx',
    'json',
    'application',
    'application/json, text/plain',
    '*/*',
    'application/octet-stream'
  ]
  for (const path of POST_PATHS) {
    for (const type of types) {
      assertProblem(
        t,
        await post(path, '{"email":"a@b.co"}', { 'content-type': type }),
        415,
        'unsupported_media_type',
        `${path} ${type}`
      )
    }
  }
  for (const type of [
    'application/json',
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/json;charset=UTF-8'
  ]) {
    t.equal(
      (await post('/users', { email: 'ada@example.com' }, { 'content-type': type })).statusCode,
      200,
      type
    )
  }
  assertProblem(
    t,
    await post('/users', gzipSync('{"email":"zip@example.com"}'), { 'content-encoding': 'gzip' }),
    415,
    'unsupported_media_type',
    'a compressed body'
  )
  assertProblem(
    t,
    await app.inject({ method: 'POST', url: '/users', payload: Buffer.from('{"email":"a@b.co"}') }),
    415,
    'unsupported_media_type',
    'no content type'
  )
})

t.test('C1 T11 422: names unknown body fields', async (t) => {
  const { post } = await createAppWithUser(t)
  const bodies: Array<[string, object]> = [
    ['/users', { email: 'new@example.com' }],
    ['/jira/projects', { owner_id: 1, key: 'K', name: 'N' }],
    ['/confluence/pages', { owner_id: 1, space_key: 'S', page_id: '1', title: 'T' }],
    ['/integrations/jira/connect', {}],
    ['/integrations/confluence/connect', { email: 'new@example.com' }]
  ]
  for (const [path, body] of bodies) {
    for (const name of [
      'id',
      'owner',
      'site',
      'created_at',
      'access_token',
      'ownerId',
      'a/b',
      'a~b',
      '',
      ' email',
      'EMAIL',
      'toString',
      'hasOwnProperty',
      '😀'
    ]) {
      const { errors } = assertProblem(
        t,
        await post(path, { ...body, [name]: 1 }),
        422,
        'validation_failed',
        `${path} ${name}`
      )
      t.ok(
        errors?.some(
          ({ pointer, detail }: any) =>
            pointer === `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` &&
            detail === 'Unknown field.'
        ),
        `names ${name}`
      )
    }
  }
})

t.test('422: reports all problems at once', async (t) => {
  const { post } = await createAppWithUser(t)
  const { errors } = assertProblem(
    t,
    await post('/jira/projects', { owner_id: 'x', key: '', url: 'javascript:alert(1)', more: 1 }),
    422,
    'validation_failed'
  )
  t.same(errors.map(({ pointer }: any) => pointer).toSorted(), [
    '/key',
    '/more',
    '/name',
    '/owner_id',
    '/url'
  ])
  t.ok(
    errors.every(({ detail }: any) => /^[A-Z].*\.$/.test(detail)),
    'in full sentences'
  )
})

t.test('T25 500: the detail is fixed and reveals nothing of the cause', async (t) => {
  const { app, lines } = await buildTestApp(t)
  const cause = new Error('planted-cause SELECT * FROM users at /srv/app/secret.ts:1', {
    cause: new TypeError('planted-deeper')
  })
  for (const name of ['list', 'findFirst', 'get', 'findOrCreate'] as const) {
    app.store.users[name] = () => {
      throw cause
    }
  }
  const requests = [
    { url: '/users/1' },
    { url: '/jira/projects/1' },
    { method: 'POST' as const, url: '/users', payload: { email: 'a@b.co' } },
    { url: '/integrations/jira/projects/fetch' },
    { method: 'POST' as const, url: '/api/integrations/jira/connect' }
  ]
  for (const request of requests) {
    const answer = await app.inject({ ...request, headers: { 'x-request-id': 'find-me' } })
    const body = assertProblem(t, answer, 500, 'internal_error', request.url)
    t.equal(body.detail, 'Internal Server Error')
    t.notMatch(JSON.stringify([body, answer.headers]), /planted|SELECT|secret\.ts|TypeError| at /)
  }
  const logged = lines().filter(({ event }) => event === 'request_error')
  t.equal(logged.length, requests.length)
  t.match(
    logged[0],
    {
      level: 'error',
      request_id: 'find-me',
      err: {
        message: /planted-cause/,
        stack: /planted-cause/,
        cause: { message: 'planted-deeper' }
      }
    },
    'the log has the cause'
  )
})

t.test('503: a busy or full database sends Retry-After', async (t) => {
  const { app } = await buildTestApp(t)
  await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  app.store.users.findOrCreate = () => {
    throw new Error('planted')
  }
  t.match(
    (
      await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
    ).json(),
    { detail: 'Internal Server Error' }
  )
  const { AppError } = await import('../../src/lib/errors.ts')
  app.store.users.findOrCreate = () => {
    throw new AppError('database_busy', 'The database is busy. Try again in a second.', {
      retryAfterS: 1
    })
  }
  const busy = await app.inject({
    method: 'POST',
    url: '/users',
    payload: { email: 'ada@example.com' }
  })
  assertProblem(t, busy, 503, 'database_busy')
  t.equal(busy.headers['retry-after'], '1')
})
