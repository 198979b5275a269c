import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

const VALUES_BY_TYPE: Record<string, unknown> = {
  string: 'text',
  number: 7,
  zero: 0,
  fraction: 1.5,
  boolean: true,
  array: ['ada@example.com'],
  object: { a: 1 },
  null: null
}
const NUMBER_TYPES = ['number', 'zero', 'fraction']

interface BodyProperty {
  path: string
  body: Record<string, unknown>
  name: string
  acceptedTypes: string[]
}
const USER_BODY = { email: 'ada@example.com', display_name: 'Ada' }
const PROJECT_BODY = { owner_id: 1, key: 'K', name: 'N', lead: 'L', url: 'https://example.com/' }
const PAGE_BODY = {
  owner_id: 1,
  space_key: 'S',
  page_id: '1',
  title: 'T',
  url: 'https://example.com/'
}
const listProperties = (
  path: string,
  body: Record<string, unknown>,
  nullable: string[]
): BodyProperty[] =>
  Object.keys(body).map((name) => ({
    path,
    body,
    name,
    acceptedTypes: [
      name === 'owner_id' ? 'number' : 'string',
      ...(nullable.includes(name) ? ['null'] : [])
    ]
  }))
const PROPERTIES = [
  ...listProperties('/users', USER_BODY, ['display_name']),
  ...listProperties('/jira/projects', PROJECT_BODY, ['lead', 'url']),
  ...listProperties('/confluence/pages', PAGE_BODY, ['url']),
  ...listProperties('/integrations/jira/connect', USER_BODY, ['email', 'display_name']),
  ...listProperties('/integrations/confluence/connect', USER_BODY, ['email', 'display_name'])
]

t.test('C3 T12 Bodies are not coerced: every property rejects every other JSON type', async (t) => {
  const { app } = await buildTestApp(t)
  const { post } = createCaller(app)
  await post('/users', { email: 'owner@example.com' })
  const stored = async () =>
    JSON.stringify(
      [
        await app.inject('/users'),
        await app.inject('/jira/projects/1'),
        await app.inject('/confluence/pages/1')
      ].map((r) => r.json())
    )
  const before = await stored()
  for (const { path, body, name, acceptedTypes } of PROPERTIES) {
    for (const [type, value] of Object.entries(VALUES_BY_TYPE)) {
      if (acceptedTypes.includes(type)) continue
      if (acceptedTypes.includes('number') && NUMBER_TYPES.includes(type) && type === 'number') {
        continue
      }
      const { errors } = assertProblem(
        t,
        await post(path, { ...body, [name]: value }),
        422,
        'validation_failed',
        `${path} ${name}: ${type}`
      )
      t.ok(
        errors?.some(({ pointer }: any) => pointer === `/${name}`),
        'the property is named'
      )
    }
  }
  t.equal(await stored(), before, 'nothing was stored')
})

t.test('C3 A body must be an object', async (t) => {
  const { app } = await buildTestApp(t)
  const { post } = createCaller(app)
  for (const path of ['/users', '/jira/projects', '/confluence/pages']) {
    for (const body of ['[]', '"x"', '1', 'true', 'null', '[{"email":"a@b.co"}]', '""']) {
      assertProblem(t, await post(path, body), 422, 'validation_failed', `${path} ${body}`)
    }
    t.ok(
      [415, 422].includes((await app.inject({ method: 'POST', url: path })).statusCode),
      'no body'
    )
    assertProblem(
      t,
      await post(path, ''),
      422,
      'validation_failed',
      `${path} with a content type and an empty body`
    )
  }
})

t.test('Names missing required fields', async (t) => {
  const { app } = await buildTestApp(t)
  const { post } = createCaller(app)
  for (const [path, required] of [
    ['/users', ['email']],
    ['/jira/projects', ['owner_id', 'key', 'name']],
    ['/confluence/pages', ['owner_id', 'space_key', 'page_id', 'title']]
  ] as const) {
    const { errors } = assertProblem(t, await post(path, {}), 422, 'validation_failed', path)
    t.same(
      errors.map(({ pointer }: any) => pointer),
      required.map((name) => `/${name}`)
    )
  }
})

t.test('T13 Keys of the prototype neither pollute objects nor pass validation', async (t) => {
  const { app } = await buildTestApp(t)
  const { post, get } = createCaller(app)
  await post('/users', { email: 'ada@example.com' })
  const poison = [
    '{"__proto__":{"polluted":1},"email":"a@b.co"}',
    '{"email":"a@b.co","constructor":{"prototype":{"polluted":1}}}',
    '{"email":"a@b.co","\\u005f_proto__":{"polluted":1}}',
    '{"__proto__":null}',
    '{"prototype":{"polluted":1},"email":"a@b.co"}',
    '{"email":{"__proto__":{"polluted":1}}}',
    '{"email":"a@b.co","display_name":{"constructor":{"prototype":{"polluted":1}}}}',
    '{"email":"a@b.co","__proto__":"a@b.co"}',
    '{"email":"a@b.co","__defineGetter__":1}'
  ]
  for (const path of [
    '/users',
    '/jira/projects',
    '/confluence/pages',
    '/integrations/jira/connect',
    '/integrations/confluence/connect'
  ]) {
    for (const body of poison) {
      const { statusCode, headers } = await post(path, body)
      t.ok(
        [400, 422].includes(statusCode) &&
          String(headers['content-type']).startsWith('application/problem+json'),
        `${path} ${body} is refused (${statusCode})`
      )
    }
  }
  for (const query of [
    '__proto__[polluted]=1',
    '__proto__.polluted=1',
    'constructor[prototype][polluted]=1',
    '__proto__=1'
  ]) {
    for (const path of [
      '/users',
      '/auth/jira/login',
      '/auth/jira/callback',
      '/integrations/jira/projects/fetch'
    ]) {
      t.ok((await get(`${path}?${query}`)).statusCode < 500, `${path}?${query}`)
    }
  }
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
  t.equal((await get('/users')).json().length, 1)
})

t.test(
  'C1 Text is stored identically on every engine: no NUL, no lone surrogate, a maximum length',
  async (t) => {
    const { app } = await buildTestApp(t)
    const { post, get } = createCaller(app)
    await post('/users', { email: 'ada@example.com' })
    const texts: Array<[string, Record<string, unknown>, string]> = [
      ['/users', { email: 'b@example.com' }, 'display_name'],
      ['/jira/projects', PROJECT_BODY, 'key'],
      ['/jira/projects', PROJECT_BODY, 'name'],
      ['/jira/projects', PROJECT_BODY, 'lead'],
      ['/confluence/pages', PAGE_BODY, 'space_key'],
      ['/confluence/pages', PAGE_BODY, 'page_id'],
      ['/confluence/pages', PAGE_BODY, 'title']
    ]
    for (const [path, body, name] of texts) {
      for (const escaped of [
        '\\u0000',
        'a\\u0000b',
        '\\ud800',
        '\\udfff',
        'a\\ud83d',
        '\\ude00\\ud83d',
        '\\ud800\\ud800'
      ]) {
        const raw = JSON.stringify({ ...body, [name]: 'HERE' }).replace('HERE', escaped)
        t.match(
          assertProblem(
            t,
            await post(path, raw),
            422,
            'validation_failed',
            `${path} ${name} ${escaped}`
          ).errors,
          [{ pointer: `/${name}` }]
        )
      }
      assertProblem(
        t,
        await post(path, { ...body, [name]: 'x'.repeat(50_000) }),
        422,
        'validation_failed',
        `${name} of 50,000 characters`
      )
      if (!['display_name', 'lead'].includes(name)) {
        assertProblem(
          t,
          await post(path, { ...body, [name]: '' }),
          422,
          'validation_failed',
          `${name} empty`
        )
      }
    }
    t.same((await get('/jira/projects/1')).json(), [])
    const originals = {
      ...PROJECT_BODY,
      key: '+ 😀 %20',
      name: '\u0001\u001f\u007f\u200b',
      lead: "'; drop table users; --"
    }
    t.match(
      (await post('/jira/projects', originals)).json(),
      originals,
      'all other text is returned unchanged'
    )
    t.match((await get('/jira/projects/1')).json(), [originals])
  }
)
