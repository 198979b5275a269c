import t from 'tap'
import { ensureDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  buildAppWithSandbox,
  answerConsentPage,
  waitForRun,
  PRODUCTS
} from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import {
  editUrl,
  openCallback,
  requestLogin,
  PRODUCTION_ENV,
  startTestService,
  SMALL_SANDBOX,
  buildSuccessUrl,
  countTokenCalls
} from './helper.ts'

const PAIR_COUNT = 50

t.test(
  `A3: ${PAIR_COUNT} callbacks, each sent twice at once, cause ${PAIR_COUNT} exchanges and succeed`,
  async (t) => {
    const { app, sandbox } = await startTestService(t, PRODUCTION_ENV)
    const logins = await Promise.all(
      Array.from({ length: PAIR_COUNT }, async (_, i) => {
        const browser = new Browser(app)
        const product = PRODUCTS[i % 2] ?? 'jira'
        return {
          browser,
          product,
          state: `tab-${i}`,
          callback: await browser.consent(product, { query: `&state=tab-${i}` })
        }
      })
    )
    // Creates the first user beforehand; otherwise fifty callbacks would create fifty first
    // users.
    await app.inject({ method: 'POST', url: '/users', payload: { email: 'first@example.com' } })
    const toSharedCallback = (address: string) =>
      editUrl(address, () => undefined, '/api/oauth/atlassian/callback')
    const answers = await Promise.all(
      logins.flatMap(({ browser, callback }) => [
        browser.open(callback),
        browser.open(toSharedCallback(callback))
      ])
    )
    const locations = answers.map(({ headers }) => headers.location)
    t.same(
      locations,
      logins.flatMap(({ product, state }) =>
        Array.from({ length: 2 }, () => buildSuccessUrl(product, 1, state))
      )
    )
    t.equal(await countTokenCalls(sandbox), PAIR_COUNT)
    t.match(await sandbox.admin('stats', undefined, 'GET'), {
      exchanges: { authorization_code: { ok: PAIR_COUNT } }
    })
  }
)

t.test(
  'A3: a callback sent to two services on one database at once causes one exchange and succeeds twice',
  async (t) => {
    const sandbox = await startSandbox(t, { ...SMALL_SANDBOX, clients: OAUTH_CLIENTS })
    const env = {
      ...buildSandboxEnv(sandbox.url),
      ...PRODUCTION_ENV,
      INTEGRATION_DB_URL: await ensureDatabase(t, `${t.testdir()}/shared.db`)
    }
    const [one, two] = [await buildTestApp(t, env), await buildTestApp(t, env)]
    await one.app.inject({ method: 'POST', url: '/users', payload: { email: 'first@example.com' } })
    for (let i = 0; i < 10; i++) {
      const browser = new Browser(one.app)
      const callback = await browser.consent('jira')
      const otherBrowser = new Browser(two.app)
      for (const [name, value] of browser.cookies) otherBrowser.cookies.set(name, value)
      const answers = await Promise.all([browser.open(callback), otherBrowser.open(callback)])
      t.same(
        answers.map(({ headers }) => headers.location),
        [buildSuccessUrl('jira'), buildSuccessUrl('jira')]
      )
    }
    t.equal(await countTokenCalls(sandbox), 10)
  }
)

t.test(
  'A3: a refused code sent twice at once causes one exchange, and both requests get the refusal',
  async (t) => {
    const { app, sandbox } = await startTestService(t, PRODUCTION_ENV)
    const browser = new Browser(app)
    const callback = editUrl(await browser.consent('jira'), (query) => {
      query.set('code', 'made-up')
    })
    const answers = await Promise.all([browser.open(callback), browser.open(callback)])
    for (const { headers } of answers) t.match(headers.location, /error=invalid_code/)
    t.equal(await countTokenCalls(sandbox), 1)
  }
)

t.test('A3: two codes for one state at once: one is exchanged, the other refused', async (t) => {
  const { app, sandbox } = await startTestService(t, PRODUCTION_ENV)
  const browser = new Browser(app)
  const callback = await browser.consent('jira')
  const answers = await Promise.all([
    browser.open(callback),
    browser.open(
      editUrl(callback, (query) => {
        query.set('code', 'made-up')
      })
    )
  ])
  t.equal(
    answers.filter(({ headers }) => headers.location?.includes('error=replayed_state')).length,
    1
  )
  t.equal(await countTokenCalls(sandbox), 1)
})

t.test(
  'T04: fifty concurrent users whose callbacks arrive shuffled each get their own connection',
  async (t) => {
    const running = await startTestService(t)
    const { app, sandbox } = running
    const people = await Promise.all(
      Array.from(
        { length: 50 },
        async (_, i) =>
          (
            await app.inject({
              method: 'POST',
              url: '/users',
              payload: { email: `p${i}@example.com` }
            })
          ).json().id as number
      )
    )
    const callbacks = await Promise.all(
      people.map(async (id) => {
        const { url } = (await requestLogin(running, 'jira', { state: `user_id=${id}` })).json()
        return {
          id,
          callback: await answerConsentPage(
            url as string,
            'accept',
            `&sandbox_account=${id % 2 === 0 ? 'dana' : 'sam'}`
          )
        }
      })
    )
    const shuffled = callbacks
      .map((each, i) => ({ each, order: (i * 17) % 50 }))
      .sort((a, b) => a.order - b.order)
      .map(({ each }) => each)
    const ended = await Promise.all(
      shuffled.map(async ({ id, callback }) => ({
        id,
        location: (await openCallback(running, callback)).headers.location
      }))
    )
    t.same(
      ended.map(({ location }) => location),
      ended.map(({ id }) => buildSuccessUrl('jira', id, `user_id=${id}`))
    )
    const [dana, sam] = sandbox.state.users.map(({ accountId }) => accountId)
    for (const id of people) {
      t.equal(
        (await app.store.connections.get(id, 'jira'))?.grant.accountId,
        id % 2 === 0 ? dana : sam,
        `user ${id}`
      )
    }
  }
)

t.test(
  'In development, a callback with an unknown state is exchanged once too, and starts one sync',
  async (t) => {
    const running = await buildAppWithSandbox(t)
    const callback = new URL(await new Browser(running.app).consent('jira'))
    callback.searchParams.set('state', 'by-hand')
    const first = await running.app.inject(callback.pathname + callback.search)
    const second = await running.app.inject(callback.pathname + callback.search)
    t.match(first.headers.location, /status=success&user_id=1&state=by-hand/)
    t.equal(second.headers.location, first.headers.location)
    await waitForRun(running.app, 'jira')
    t.match((await running.sandbox.admin('stats', undefined, 'GET')).exchanges, {
      authorization_code: { ok: 1 }
    })
    t.equal((await running.app.inject('/integrations/jira/sync/runs/2')).statusCode, 404)
  }
)

t.test(
  "With one client for both products, the login of a user named by email requests both products' scopes",
  async (t) => {
    const running = await buildAppWithSandbox(t, {
      env: { CONFLUENCE_OAUTH_CLIENT_ID: 'jira-app' }
    })
    await new Browser(running.app).connect('jira', '&state=email:ada@example.com')
    const { url } = (
      await running.app.inject('/auth/confluence/login?state=email:ADA@example.com')
    ).json()
    t.match(new URL(url).searchParams.get('scope'), /read:page:confluence.*read:jira-work/)
  }
)
