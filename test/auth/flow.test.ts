import t from 'tap'
import {
  Browser,
  buildAppWithSandbox,
  answerConsentPage,
  FRONTEND_URL,
  waitForRun
} from '../helper.ts'

/** Headers that a browser sends with a page navigation. */
const NAVIGATION_HEADERS = {
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  'sec-fetch-site': 'cross-site'
}

t.test('A person connects Jira and sees its projects and issues', async (t) => {
  const { app } = await buildAppWithSandbox(t)
  const browser = new Browser(app)
  const callback = await browser.consent('jira', { query: '&state=kc-oauth' })
  const callbackResponse = await browser.open(callback)
  t.equal(callbackResponse.statusCode, 302)
  t.equal(
    callbackResponse.headers.location,
    `${FRONTEND_URL}/oauth/jira?status=success&user_id=1&state=kc-oauth&connection_state=active`
  )
  const run = await waitForRun(app, 'jira')
  t.match(run, {
    state: 'succeeded',
    counts: { seen: 312, added: 312, skipped: 0 },
    failures: [],
    error: null
  })
  for (const [collection, count] of [
    ['projects', 12],
    ['issues', 300]
  ] as const) {
    const { items } = (await app.inject(`/integrations/jira/${collection}/fetch`)).json()
    t.equal(items.length, count)
    t.match(items[0], { owner_id: 1, url: /^https:\/\/acme\.atlassian\.net\/browse\// })
    t.same((await app.inject(`/jira/${collection}/1`)).json(), items)
  }
  t.equal(
    (await browser.open(callback)).headers.location,
    callbackResponse.headers.location,
    'the same callback again redirects to the same URL'
  )
})

t.test('A person connects Confluence and sees its spaces and pages', async (t) => {
  const { app } = await buildAppWithSandbox(t)
  const callbackResponse = await new Browser(app).connect('confluence')
  t.equal(
    callbackResponse.headers.location,
    `${FRONTEND_URL}/oauth/callback?provider=confluence&status=success&user_id=1&connection_state=active`
  )
  t.match(await waitForRun(app, 'confluence'), {
    state: 'succeeded',
    counts: { seen: 64, added: 64, skipped: 0 },
    failures: [],
    error: null
  })
  for (const [collection, count] of [
    ['spaces', 4],
    ['pages', 60]
  ] as const) {
    const { items } = (await app.inject(`/integrations/confluence/${collection}/fetch`)).json()
    t.equal(items.length, count)
    t.match(items[0], { owner_id: 1, url: /^https:\/\/acme\.atlassian\.net\/wiki\/spaces\// })
    t.same((await app.inject(`/confluence/${collection}/1`)).json(), items)
  }
})

for (const prefix of ['', '/api']) {
  t.test(`The original front end connects Jira through ${prefix}/auth/jira/login`, async (t) => {
    const { app } = await buildAppWithSandbox(t, { env: { APP_ENV: 'production' } })
    const browser = new Browser(app)
    const start = await browser.open(
      (
        `${prefix}/auth/jira/login?redirect=true&state=kc-oauth&scope=offline_access ` +
        `read:jira-work read:jira-user&return_url=${FRONTEND_URL}/oauth/jira`
      ).replaceAll(' ', '%20'),
      NAVIGATION_HEADERS
    )
    t.equal(start.statusCode, 307)
    const { searchParams } = new URL(start.headers.location ?? '')
    t.same(
      new Set(searchParams.get('scope')?.split(' ')),
      new Set(['offline_access', 'read:me', 'read:jira-work', 'read:jira-user'])
    )
    t.not(searchParams.get('state'), 'kc-oauth')
    const callbackResponse = await browser.open(
      await answerConsentPage(start.headers.location ?? ''),
      NAVIGATION_HEADERS
    )
    t.equal(
      callbackResponse.headers.location,
      `${FRONTEND_URL}/oauth/jira?status=success&user_id=1&state=kc-oauth&connection_state=active`
    )
    t.match(await waitForRun(app, 'jira'), { state: 'succeeded' })
    const { items } = (await app.inject(`${prefix}/integrations/jira/projects/fetch`)).json()
    t.match(items[0], {
      id: Number,
      key: String,
      name: String,
      lead: String,
      url: String,
      owner_id: 1
    })
  })

  t.test(
    `The original front end connects through ${prefix}/auth/confluence/login without a redirect parameter`,
    async (t) => {
      const { app } = await buildAppWithSandbox(t, { env: { APP_ENV: 'production' } })
      const browser = new Browser(app)
      const start = await browser.open(
        `${prefix}/auth/confluence/login?state=kc-oauth&scope=read` +
          `&return_url=${encodeURIComponent(`${FRONTEND_URL}/oauth/confluence`)}`,
        NAVIGATION_HEADERS
      )
      t.equal(start.statusCode, 307)
      t.equal(
        new URL(start.headers.location ?? '').searchParams.get('scope'),
        'read:space:confluence read:page:confluence search:confluence read:me offline_access'
      )
      const callbackResponse = await browser.open(
        await answerConsentPage(start.headers.location ?? ''),
        NAVIGATION_HEADERS
      )
      t.equal(
        callbackResponse.headers.location,
        `${FRONTEND_URL}/oauth/confluence?provider=confluence&status=success&user_id=1` +
          '&state=kc-oauth&connection_state=active'
      )
      t.match(await waitForRun(app, 'confluence'), { state: 'succeeded' })
      const { items } = (await app.inject(`${prefix}/integrations/confluence/pages/fetch`)).json()
      t.match(items[0], {
        id: Number,
        title: String,
        space_key: String,
        page_id: String,
        url: String,
        owner_id: 1
      })
    }
  )

  t.test(
    `A newer front end gets the login URL from ${prefix}/integrations, and the login as JSON`,
    async (t) => {
      const { app } = await buildAppWithSandbox(t, { env: { APP_ENV: 'production' } })
      for (const product of ['jira', 'confluence']) {
        const connectResponse = await app.inject({
          method: 'POST',
          url: `${prefix}/integrations/${product}/connect`,
          payload: { email: 'ada@example.com' }
        })
        t.match(connectResponse.json(), {
          provider: product,
          connected: false,
          redirect_url: `${prefix}/auth/${product}/login?state=user_id%3D1`
        })
        const answer = await app.inject({
          url: connectResponse.json().redirect_url,
          headers: {
            accept: '*/*',
            origin: FRONTEND_URL,
            'sec-fetch-mode': 'cors',
            'sec-fetch-dest': 'empty'
          }
        })
        t.equal(answer.statusCode, 200)
        t.strictSame(Object.keys(answer.json()), ['url', 'provider'])
        const callbackResponse = await new Browser(app).open(
          await answerConsentPage(answer.json().url as string),
          NAVIGATION_HEADERS
        )
        t.match(
          callbackResponse.headers.location,
          /status=success&user_id=1&state=user_id%3D1&connection_state=active$/
        )
        const again = await app.inject({
          method: 'POST',
          url: `${prefix}/integrations/${product}/connect`,
          payload: {}
        })
        t.match(again.json(), {
          connected: true,
          base_url:
            product === 'jira' ? 'https://acme.atlassian.net' : 'https://acme.atlassian.net/wiki'
        })
      }
    }
  )

  t.test(
    `The original front end gets error and message on its return pages, and its link to ${prefix}/docs works`,
    async (t) => {
      const { app } = await buildAppWithSandbox(t, {
        env: { APP_ENV: 'production', API_DOCS: 'open' }
      })
      for (const product of ['jira', 'confluence']) {
        const browser = new Browser(app)
        const start = await browser.open(
          `${prefix}/auth/${product}/login?state=kc-oauth&return_url=${FRONTEND_URL}/oauth/${product}`,
          NAVIGATION_HEADERS
        )
        const callbackResponse = await browser.open(
          await answerConsentPage(start.headers.location ?? '', 'cancel'),
          NAVIGATION_HEADERS
        )
        const { origin, pathname, searchParams } = new URL(callbackResponse.headers.location ?? '')
        t.equal(origin + pathname, `${FRONTEND_URL}/oauth/${product}`)
        t.match(Object.fromEntries(searchParams), {
          status: 'error',
          error: 'access_denied',
          message: 'Consent was not given.'
        })
      }
      t.ok([200, 302].includes((await app.inject(`${prefix}/docs`)).statusCode))
    }
  )
}
