import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { assertProblem, createCaller } from './helper.ts'

const PROJECT = { owner_id: 1, key: 'K', name: 'N' }
const MAX_ID = '9007199254740991'

t.test('422: the detail names the first problem, in words', async (t) => {
  const { app } = await buildTestApp(t)
  const { post, get } = createCaller(app)
  await post('/users', { email: 'ada@example.com' })
  const bodies: Array<[path: string, body: unknown, detail: string]> = [
    ['/users', {}, 'The field email is required.'],
    [
      '/users',
      { email: 'Ada <ada@example.com>' },
      'The field email must be one bare email address, such as ada@example.com, without a name or ' +
        'angle brackets.'
    ],
    ['/users', { email: 7 }, 'The field email must be a string.'],
    ['/users', { email: 'ada@example.com', colour: 1 }, 'Unknown field colour.'],
    [
      '/users',
      { email: 'ada@example.com', display_name: 'x'.repeat(201) },
      'The field display_name must have at most 200 characters.'
    ],
    ['/users', [], 'The request body must be a JSON object.'],
    ['/jira/projects', { ...PROJECT, key: '' }, 'The field key must not be empty.'],
    [
      '/jira/projects',
      { ...PROJECT, owner_id: 'x' },
      `The field owner_id must be a whole number from 1 to ${MAX_ID}.`
    ],
    [
      '/jira/projects',
      { ...PROJECT, owner_id: 0 },
      `The field owner_id must be a whole number from 1 to ${MAX_ID}.`
    ],
    [
      '/jira/projects',
      { ...PROJECT, url: 'ftp://example.com' },
      'The field url must be an absolute http(s) link without credentials.'
    ],
    ['/jira/projects', {}, 'The field owner_id is required. 2 more problems are in errors.'],
    [
      '/jira/projects',
      { ...PROJECT, key: '', name: '' },
      'The field key must not be empty. 1 more problem is in errors.'
    ]
  ]
  for (const [path, body, detail] of bodies) {
    const problem = assertProblem(t, await post(path, body), 422, 'validation_failed', detail)
    t.equal(problem.detail, detail)
  }
  const urls: Array<[url: string, detail: string]> = [
    ['/users/abc', `The path parameter user_id must be a whole number from 1 to ${MAX_ID}.`],
    ['/users?limit=0', 'The query parameter limit must be a whole number from 1 to 1000.'],
    ['/users?limit=1e2', 'The query parameter limit must be a whole number from 1 to 1000.'],
    [
      '/users/1/changes?collections=all',
      'The query parameter collections must have the documented form: Only these collections, ' +
        'separated by commas: projects, issues, spaces, pages. Default: those of the cursor, or all.'
    ],
    [
      '/integrations/jira/sync/runs/x/events',
      `The path parameter id must be a whole number from 1 to ${MAX_ID}.`
    ],
    [
      '/auth/jira/login?redirect=yes',
      'The query parameter redirect must be one of true, false, 1, 0.'
    ]
  ]
  for (const [url, detail] of urls) {
    t.equal(assertProblem(t, await get(url), 422, 'validation_failed', url).detail, detail)
  }
  const name = 'x'.repeat(1_000)
  const long = assertProblem(
    t,
    await post('/users', { email: 'a@b.co', [name]: 1 }),
    422,
    'validation_failed'
  )
  t.equal(long.detail, `Unknown field ${'x'.repeat(60)}….`)
  t.same(long.errors, [{ pointer: `/${name}`, detail: 'Unknown field.' }])
})

t.test('422: a missing body is said to be missing', async (t) => {
  const { app } = await buildTestApp(t)
  const { post } = createCaller(app)
  for (const path of ['/users', '/jira/projects', '/confluence/pages']) {
    for (const answer of [await app.inject({ method: 'POST', url: path }), await post(path, '')]) {
      const problem = assertProblem(t, answer, 422, 'validation_failed', path)
      t.equal(problem.detail, 'Request body is required.')
      t.same(problem.errors, [{ pointer: '', detail: 'Request body is required.' }])
    }
  }
  t.equal(
    assertProblem(t, await post('/users', 'null'), 422, 'validation_failed').detail,
    'The request body must be a JSON object.'
  )
})

t.test('400: malformed JSON is reported with its position', async (t) => {
  const { app } = await buildTestApp(t)
  const { post } = createCaller(app)
  const bodies: Array<[body: string, problem: string]> = [
    ['{"email":"a@b.co",}', 'unexpected } at line 1, column 19'],
    ['{\n  "email": "a@b.co"\n  "name": 1\n}', 'unexpected " at line 3, column 3'],
    ['{"email":', 'it ends too early, at line 1, column 10'],
    ["{'email':1}", "unexpected ' at line 1, column 2"],
    ['{"a":01}', 'unexpected 1 at line 1, column 7'],
    ['{"a":1}{', 'unexpected { at line 1, column 8'],
    ['[1 2]', 'unexpected 2 at line 1, column 4'],
    ['{"a"}', 'unexpected } at line 1, column 5'],
    ['[}', 'unexpected } at line 1, column 2'],
    ['\u0000', 'an unexpected character at line 1, column 1'],
    ['\ufeff{}', 'an unexpected character at line 1, column 1'],
    ['{"a":"\\x"}', 'a string has no end, or an invalid character or escape, at line 1, column 7'],
    [`${'['.repeat(60_000)}`, 'it ends too early, at line 1, column 60001']
  ]
  for (const [body, problem] of bodies) {
    t.equal(
      assertProblem(t, await post('/users', body), 400, 'invalid_json', body.slice(0, 20)).detail,
      `The body is not valid JSON: ${problem}.`
    )
  }
})

t.test('T25 No part of a rejected body is logged', async (t) => {
  const { app, lines } = await buildTestApp(t, { LOG_LEVEL: 'trace' })
  const { post } = createCaller(app)
  for (const body of [
    '{"planted-name":"planted-value"',
    'planted-value',
    '{"email":"planted-value"}',
    '{"planted-name":1,"email":"a@b.co"}',
    '{"email":{"planted-name":"planted-value"}}'
  ]) {
    t.ok([400, 422].includes((await post('/users', body)).statusCode))
  }
  t.equal(lines().filter(({ event }) => event === 'request_refused').length, 5)
  t.notMatch(JSON.stringify(lines()), /planted/)
})
