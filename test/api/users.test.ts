import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

t.test('Users', async (t) => {
  t.test(
    'a new email returns 201, a known one 200 with the same user as first stored',
    async (t) => {
      const { app } = await buildTestApp(t)
      const { post, get } = createCaller(app)
      const made = await post('/users', { email: 'Ada@Example.com', display_name: 'Ada' })
      t.equal(made.statusCode, 201)
      t.same(made.json(), { id: 1, email: 'Ada@Example.com', display_name: 'Ada' })
      const again = await post('/users', {
        email: 'ada@EXAMPLE.com',
        display_name: 'Somebody else'
      })
      t.equal(again.statusCode, 200)
      t.same(again.json(), made.json(), 'an email does not change a user')
      t.same((await get('/users')).json(), [made.json()])
      t.same((await get('/users/1')).json(), made.json())
      assertProblem(t, await get('/users/2'), 404, 'user_not_found')
    }
  )

  t.test(
    'emails compare case-insensitively in every script and in one Unicode normal form',
    async (t) => {
      const { app } = await buildTestApp(t)
      const { post } = createCaller(app)
      const composed = (await post('/users', { email: 'JÖRG@bücher.example' })).json()
      const decomposed = await post('/users', { email: 'jo\u0308rg@BU\u0308CHER.example' })
      t.equal(decomposed.statusCode, 200)
      t.equal(decomposed.json().id, composed.id)
      t.equal(composed.email, 'JÖRG@bücher.example')
    }
  )

  t.test('display_name can be missing, null, empty or in any language', async (t) => {
    const { app } = await buildTestApp(t)
    const { post } = createCaller(app)
    for (const [i, name] of [undefined, null, '', 'Zoë 😀', 'عائشة', 'x'.repeat(200)].entries()) {
      const made = await post('/users', { email: `u${i}@example.com`, display_name: name })
      t.equal(made.statusCode, 201, String(name))
      t.equal(made.json().display_name, name ?? null)
    }
    const long = assertProblem(
      t,
      await post('/users', { email: 'long@example.com', display_name: 'x'.repeat(201) }),
      422,
      'validation_failed'
    )
    t.match(long.errors, [{ pointer: '/display_name' }])
  })

  t.test(
    'tokens and site addresses from callers are rejected with a reference to the OAuth flow',
    async (t) => {
      const { app, logText } = await buildTestApp(t)
      const { post, get } = createCaller(app)
      for (const name of [
        'jira_token',
        'confluence_token',
        'jira_base_url',
        'confluence_base_url'
      ]) {
        for (const value of ['planted-token-91', null, 1]) {
          const body = assertProblem(
            t,
            await post('/users', { email: 'ada@example.com', [name]: value }),
            422,
            'validation_failed',
            name
          )
          t.match(body, {
            detail: /auth\/jira\/login/,
            errors: [{ pointer: `/${name}`, detail: /OAuth flow/ }]
          })
          t.notMatch(JSON.stringify(body), 'planted-token-91')
        }
      }
      t.same((await get('/users')).json(), [], 'nothing was stored')
      t.notMatch(logText(), 'planted-token-91')
    }
  )

  t.test('the list is oldest first and includes the placeholder user', async (t) => {
    const { app } = await buildTestApp(t)
    const { post, get } = createCaller(app)
    for (const email of [
      'zoe@example.com',
      'oauth-user-00000000-0000-4000-8000-000000000000@example.local',
      'ada@example.com'
    ]) {
      t.equal((await post('/users', { email })).statusCode, 201, email)
    }
    t.same(
      (await get('/users')).json().map(({ id }: { id: number }) => id),
      [1, 2, 3]
    )
  })

  t.test('HEAD answers as GET does, without a body; a trailing slash is ignored', async (t) => {
    const { app } = await buildTestApp(t)
    await createCaller(app).post('/users/', { email: 'ada@example.com' })
    for (const url of [
      '/users',
      '/users/',
      '/users/1',
      '/users/1/',
      '/healthz',
      '/',
      '/health/oauth/',
      '/jira/projects/1/',
      '/integrations/jira/projects/fetch/'
    ]) {
      const got = await app.inject(url)
      const head = await app.inject({ method: 'HEAD', url })
      t.equal(got.statusCode, 200, url)
      t.equal(head.statusCode, 200, `HEAD ${url}`)
      t.equal(head.body, '')
      t.equal(head.headers['content-type'], got.headers['content-type'])
      t.equal(head.headers['content-length'], got.headers['content-length'])
    }
    t.same((await app.inject('/users/')).json(), (await app.inject('/users')).json())
  })
})
