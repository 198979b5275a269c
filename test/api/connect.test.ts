import t from 'tap'
import { buildTestApp, Browser, buildSandboxEnv, buildAppWithSandbox } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

for (const product of ['jira', 'confluence']) {
  const fetchPath = `/integrations/${product}/${product === 'jira' ? 'projects' : 'pages'}/fetch`

  t.test(`POST /integrations/${product}/connect`, async (t) => {
    t.test('returns the authorize URL under the prefix of the request', async (t) => {
      const { app } = await buildTestApp(t)
      const { post } = createCaller(app)
      for (const body of [undefined, '', {}, { email: null }, { display_name: 'Ada' }]) {
        t.same(
          (await post(`/integrations/${product}/connect`, body)).json(),
          {
            provider: product,
            base_url: null,
            connected: false,
            redirect_url: `/auth/${product}/login`
          },
          JSON.stringify(body)
        )
      }
      t.same((await app.inject('/users')).json(), [], 'creates no user without an email')
      t.equal(
        (await post(`/api/integrations/${product}/connect`)).json().redirect_url,
        `/api/auth/${product}/login`
      )
    })

    t.test('finds or creates the user of an email and puts the id into the state', async (t) => {
      const { app } = await buildTestApp(t)
      const { post } = createCaller(app)
      await post('/users', { email: 'first@example.com' })
      const answer = await post(`/api/integrations/${product}/connect`, {
        email: 'Ada@example.com',
        display_name: 'Ada'
      })
      t.equal(answer.statusCode, 200)
      t.equal(answer.json().redirect_url, `/api/auth/${product}/login?state=user_id%3D2`)
      t.equal(
        (await post(`/integrations/${product}/connect`, { email: 'ADA@EXAMPLE.COM' })).json()
          .redirect_url,
        `/auth/${product}/login?state=user_id%3D2`
      )
      t.match((await app.inject('/users/2')).json(), {
        email: 'Ada@example.com',
        display_name: 'Ada'
      })
    })

    t.test('base_url is the configured site until a site is connected', async (t) => {
      for (const [configuredUrl, jira, confluence] of [
        ['https://acme.example', 'https://acme.example', 'https://acme.example/wiki'],
        ['https://acme.example/', 'https://acme.example', 'https://acme.example/wiki'],
        ['https://acme.example/wiki', 'https://acme.example/wiki', 'https://acme.example/wiki']
      ] as const) {
        const { app } = await buildTestApp(t, { ATLASSIAN_CLOUD_BASE_URL: configuredUrl })
        t.equal(
          (await createCaller(app).post(`/integrations/${product}/connect`)).json().base_url,
          product === 'jira' ? jira : confluence,
          configuredUrl
        )
      }
    })

    t.test('connected and base_url describe the requested user', async (t) => {
      const { app } = await buildAppWithSandbox(t)
      const { post } = createCaller(app)
      await post('/users', { email: 'first@example.com' })
      await new Browser(app).connect(product)
      t.match((await post(`/integrations/${product}/connect`)).json(), {
        connected: true,
        base_url: `https://acme.atlassian.net${product === 'jira' ? '' : '/wiki'}`
      })
      t.match(
        (await post(`/integrations/${product}/connect`, { email: 'second@example.com' })).json(),
        { connected: false, base_url: null }
      )
      t.match(
        (await post(`/integrations/${product === 'jira' ? 'confluence' : 'jira'}/connect`)).json(),
        { connected: false }
      )
    })

    t.test('rejects an invalid body', async (t) => {
      const { app } = await buildTestApp(t)
      const { post } = createCaller(app)
      for (const body of [[], 'null!', '"text"', '1', 'true']) {
        t.ok(
          [400, 422].includes((await post(`/integrations/${product}/connect`, body)).statusCode),
          JSON.stringify(body)
        )
      }
      const unknown = assertProblem(
        t,
        await post(`/integrations/${product}/connect`, { token: 'x' }),
        422,
        'validation_failed'
      )
      t.ok(
        unknown.errors.some(
          ({ pointer, detail }: any) => pointer === '/token' && detail === 'Unknown field.'
        ),
        'the field is named'
      )
    })
  })

  t.test(`GET ${fetchPath}`, async (t) => {
    t.test('is empty without users, and uses the first user by default', async (t) => {
      const { app } = await buildTestApp(t)
      const { post, get } = createCaller(app)
      const empty = { provider: product, total: 0, as_of: null, sync_state: 'never', items: [] }
      t.same((await get(fetchPath)).json(), empty)
      await post('/users', { email: 'first@example.com' })
      await post('/users', { email: 'second@example.com' })
      const item = (owner: number) =>
        product === 'jira'
          ? { owner_id: owner, key: `K${owner}`, name: 'N' }
          : { owner_id: owner, space_key: 'S', page_id: `${owner}`, title: 'T' }
      await post(product === 'jira' ? '/jira/projects' : '/confluence/pages', item(2))
      t.same((await get(fetchPath)).json(), empty, 'not the newest user')
      await post(product === 'jira' ? '/jira/projects' : '/confluence/pages', item(1))
      t.match((await get(fetchPath)).json().items, [{ id: 2, url: null, ...item(1) }])
      t.match((await get(`${fetchPath}?owner_id=2`)).json().items, [
        { id: 1, url: null, ...item(2) }
      ])
      assertProblem(t, await get(`${fetchPath}?owner_id=3`), 404, 'user_not_found')
      t.same(
        (await get(`${fetchPath}?owner=2&_=1763899200`)).json(),
        (await get(fetchPath)).json(),
        'unknown query parameters are ignored'
      )
    })
  })
}

t.test('Only the two products exist', async (t) => {
  const { app } = await buildTestApp(t, buildSandboxEnv('http://127.0.0.1:9'))
  const { post, get } = createCaller(app)
  for (const product of ['bitbucket', 'JIRA', 'Jira', 'jira ', '__proto__', 'constructor', '']) {
    assertProblem(
      t,
      await post(`/integrations/${encodeURIComponent(product)}/connect`),
      404,
      'not_found',
      product
    )
    assertProblem(
      t,
      await get(`/auth/${encodeURIComponent(product)}/login`),
      404,
      'not_found',
      product
    )
  }
})
