import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

/** Invalid ids, as they appear in a URL. */
const INVALID_IDS = [
  '0',
  '-1',
  '-0',
  '01',
  '001',
  '1.0',
  '1.',
  '.1',
  '1e0',
  '1E0',
  '1e308',
  '+1',
  '%2B1',
  '0x1',
  '0b1',
  '0o1',
  '1n',
  '1_0',
  '1,0',
  '1%2C0',
  '%201',
  '1%20',
  '%091',
  '1%0A',
  '1%00',
  '%EF%BC%91',
  '%D9%A1',
  '%E0%A5%A7',
  '%F0%9D%9F%8F',
  'NaN',
  'Infinity',
  '-Infinity',
  'null',
  'undefined',
  'true',
  '%5B1%5D',
  '%7B%7D',
  '1;2',
  '1%3B',
  '1%3Fx',
  '1%23',
  '9007199254740992',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '18446744073709551616',
  '9'.repeat(100),
  '9'.repeat(400),
  '..%2f1',
  '1%2F',
  '%31%2F..',
  "1'",
  '1%22',
  "1'%20or%20'1'='1",
  '1--',
  '__proto__',
  'constructor',
  '%E2%80%8B1',
  '1%EF%BB%BF',
  'l',
  '١'
]
/** Well-formed ids that do not exist. */
const UNUSED_IDS = ['2', '4294967296', '2147483648', '9007199254740991']
/** RFC 3986 section 6.2.2.2: a percent-encoded unreserved character equals the character. */
const EQUIVALENT_IDS = ['%31']

t.test('C4 T12 Ids are positive integers in one spelling', async (t) => {
  const { app } = await buildTestApp(t)
  const { post, get } = createCaller(app)
  await post('/users', { email: 'ada@example.com' })
  await post('/jira/projects', { owner_id: 1, key: 'PAY', name: 'Payments' })
  const paths = [
    '/users/',
    '/jira/projects/',
    '/confluence/pages/',
    '/integrations/jira/sync/runs/',
    '/integrations/confluence/sync/runs/',
    '/api/users/'
  ]
  const queries = [
    '/integrations/jira/projects/fetch?owner_id=',
    '/integrations/confluence/pages/fetch?owner_id='
  ]

  t.test('any other spelling returns 422 or 404 and never another user', async (t) => {
    for (const base of [...paths, ...queries]) {
      for (const id of INVALID_IDS) {
        const { statusCode, headers, body } = await get(base + id)
        t.ok(
          [400, 404, 422].includes(statusCode) &&
            String(headers['content-type']).startsWith('application/problem+json'),
          `${base}${id.slice(0, 40)} is refused (${statusCode})`
        )
        t.notMatch(body, 'ada@example.com')
      }
    }
  })

  t.test('a malformed id returns 422 and names the parameter', async (t) => {
    for (const id of [
      '0',
      '-1',
      '01',
      '1.0',
      '1e0',
      '+1',
      '%201',
      '9007199254740992',
      '9223372036854775808',
      '%EF%BC%91'
    ]) {
      t.match(assertProblem(t, await get(`/users/${id}`), 422, 'validation_failed', id).errors, [
        { pointer: '/user_id' }
      ])
      t.match(
        assertProblem(
          t,
          await get(`/integrations/jira/projects/fetch?owner_id=${id}`),
          422,
          'validation_failed',
          id
        ).errors,
        [{ pointer: '/owner_id' }]
      )
    }
  })

  t.test('a well-formed unknown id returns 404', async (t) => {
    for (const id of UNUSED_IDS) {
      assertProblem(t, await get(`/users/${id}`), 404, 'user_not_found', id)
      assertProblem(t, await get(`/jira/projects/${id}`), 404, 'user_not_found', id)
      assertProblem(t, await get(`/confluence/pages/${id}`), 404, 'user_not_found', id)
      assertProblem(
        t,
        await get(`/integrations/jira/projects/fetch?owner_id=${id}`),
        404,
        'user_not_found',
        id
      )
      assertProblem(t, await get(`/integrations/jira/sync/runs/${id}`), 404, 'run_not_found', id)
      assertProblem(
        t,
        await app.inject({ method: 'POST', url: `/integrations/jira/sync?owner_id=${id}` }),
        404,
        'user_not_found',
        id
      )
    }
  })

  t.test('a percent-encoded digit equals the digit', async (t) => {
    for (const id of EQUIVALENT_IDS) t.match((await get(`/users/${id}`)).json(), { id: 1 })
  })

  t.test('in a body an id is a JSON number', async (t) => {
    for (const id of [
      '0',
      '-1',
      '1.5',
      '1e400',
      '"1"',
      'null',
      'true',
      '[1]',
      '{}',
      '9007199254740992',
      '9223372036854775808',
      '1e30',
      '-0'
    ]) {
      for (const [path, rest] of [
        ['/jira/projects', '"key":"K","name":"N"'],
        ['/confluence/pages', '"space_key":"S","page_id":"1","title":"T"']
      ]) {
        assertProblem(
          t,
          await post(path ?? '', `{"owner_id":${id},${rest}}`),
          422,
          'validation_failed',
          `${path} ${id}`
        )
      }
    }
    assertProblem(
      t,
      await post('/jira/projects', { owner_id: 2, key: 'K', name: 'N' }),
      404,
      'user_not_found'
    )
    assertProblem(
      t,
      await post('/confluence/pages', {
        owner_id: Number.MAX_SAFE_INTEGER,
        space_key: 'S',
        page_id: '1',
        title: 'T'
      }),
      404,
      'user_not_found'
    )
  })

  t.test('a repeated parameter is rejected', async (t) => {
    assertProblem(
      t,
      await get('/integrations/jira/projects/fetch?owner_id=1&owner_id=2'),
      422,
      'validation_failed'
    )
    assertProblem(t, await get('/users?limit=1&limit=2'), 422, 'validation_failed')
  })
})
