import type { AddressInfo } from 'node:net'
import t from 'tap'
import { Browser, answerConsentPage, FRONTEND_URL, waitForRun, PRODUCTS } from '../helper.ts'
import {
  getAuthorizeParams,
  buildFailureUrl,
  openCallback,
  requestLogin,
  PRODUCTION_ENV,
  TEST_REQUEST_ID,
  startTestService,
  buildSuccessUrl
} from './helper.ts'

const SETTING_PARTS = ['client_id', 'client_secret', 'redirect_uri'] as const
/** Every non-empty combination of missing settings. */
const MISSING_PART_SETS = Array.from({ length: 7 }, (_, i) =>
  SETTING_PARTS.filter((_, bit) => ((i + 1) >> bit) & 1)
)

/** Confluence falls back to Jira's settings, so this removes both. */
function unsetParts(parts: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(
    ['JIRA', 'CONFLUENCE'].flatMap((id) =>
      parts.map((part) => [`${id}_OAUTH_${part.toUpperCase()}`, undefined])
    )
  )
}

for (const parts of MISSING_PART_SETS) {
  const missing = Object.fromEntries(SETTING_PARTS.map((part) => [part, parts.includes(part)]))

  t.test(
    `In production, a login without ${parts.join(', ')} is refused and names what is missing`,
    async (t) => {
      const running = await startTestService(t, { ...PRODUCTION_ENV, ...unsetParts(parts) })
      for (const product of PRODUCTS) {
        for (const query of ['', '?redirect=true', '?redirect=false', '?state=x&scope=read']) {
          for (const prefix of ['', '/api']) {
            const answer = await running.app.inject(`${prefix}/auth/${product}/login${query}`)
            t.equal(answer.statusCode, 400)
            t.strictSame(answer.json().missing, missing)
            t.match(answer.json(), {
              code: 'oauth_not_configured',
              status: 400,
              detail: parts
                .map((part) => `${product.toUpperCase()}_OAUTH_${part.toUpperCase()}`)
                .join(', ')
            })
            t.equal(answer.headers['set-cookie'], undefined)
          }
        }
        t.match(
          (await openCallback(running, `/auth/${product}/callback?code=x&state=y`)).headers
            .location,
          buildFailureUrl(product, 'unknown_state'),
          'the callback redirects all the same'
        )
      }
    }
  )

  t.test(
    `In development, a login without ${parts.join(', ')} uses the sandbox and names what is missing`,
    async (t) => {
      const running = await startTestService(t, { APP_ENV: 'development', ...unsetParts(parts) })
      for (const product of PRODUCTS) {
        const answer = await requestLogin(running, product)
        t.equal(answer.statusCode, 200)
        t.strictSame(Object.keys(answer.json()), ['url', 'provider', 'missing'])
        t.strictSame(answer.json().missing, missing)
        t.match(answer.json().url, /^http:\/\/localhost(:\d+)?\/sandbox\/authorize\?/)
        const page = await running.app.inject(`/auth/${product}/login?redirect=true`)
        t.equal(page.statusCode, 307)
        t.match(page.headers.location, /^http:\/\/localhost(:\d+)?\/sandbox\/authorize\?/)
      }
    }
  )
}

t.test(
  'In development, without any setting, the complete login with the sandbox works',
  async (t) => {
    const { app } = await startTestService(t, {
      APP_ENV: 'development',
      APP_FRONTEND_URL: undefined,
      ...unsetParts(SETTING_PARTS)
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const host = `127.0.0.1:${(app.server.address() as AddressInfo).port}`
    for (const [i, product] of PRODUCTS.entries()) {
      const start = await app.inject({
        url: `/auth/${product}/login?redirect=true`,
        headers: { host }
      })
      const callback = await answerConsentPage(start.headers.location ?? '')
      const cookie = start.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
      const landed = await fetch(callback, { redirect: 'manual', headers: { cookie } })
      t.equal(
        landed.headers.get('location'),
        buildSuccessUrl(product).replace(FRONTEND_URL, `http://${host}`)
      )
      t.match(
        await (await fetch(landed.headers.get('location') ?? '')).text(),
        / is connected<\/h1>/
      )
      t.match(await waitForRun(app, product, i + 1), { state: 'succeeded' })
    }
  }
)

const REDIRECT_QUERIES: ReadonlyArray<[query: string, status: number]> = [
  ['', 200],
  ['?redirect=true', 307],
  ['?redirect=1', 307],
  ['?redirect=false', 200],
  ['?redirect=0', 200],
  ...[
    '',
    'TRUE',
    'True',
    'yes',
    'no',
    'on',
    '2',
    '-1',
    '01',
    'true%20',
    '%20true',
    'null',
    'truefalse',
    'true,false',
    '1.0',
    '%00',
    'https://evil.example'
  ].map((value): [string, number] => [`?redirect=${value}`, 422]),
  ['?redirect=true&redirect=false', 422],
  ['?redirect=true&redirect=true', 422],
  ['?redirect', 422],
  // Unknown parameters are ignored.
  ['?Redirect=true', 200],
  ['?redirect[]=true', 200]
]

t.test('The redirect parameter accepts true, false, 1 and 0 for both products', async (t) => {
  const { app } = await startTestService(t, PRODUCTION_ENV)
  for (const product of PRODUCTS) {
    for (const [query, status] of REDIRECT_QUERIES) {
      t.equal(
        (await app.inject(`/auth/${product}/login${query}`)).statusCode,
        status,
        `${product}${query}`
      )
    }
    t.match((await app.inject(`/auth/${product}/login?redirect=yes`)).json(), {
      code: 'validation_failed',
      errors: [{ pointer: '/redirect' }]
    })
  }
})

t.test(
  'Redirects page navigations and answers scripts with JSON; the redirect parameter overrides both',
  async (t) => {
    const { app } = await startTestService(t, PRODUCTION_ENV)
    for (const [mode, dest, parameter, status] of [
      ['navigate', 'document', '', 307],
      ['navigate', 'document', '?redirect=false', 200],
      ['navigate', 'document', '?redirect=0', 200],
      ['navigate', 'document', '?redirect=true', 307],
      ['navigate', 'iframe', '', 200],
      ['navigate', 'frame', '', 200],
      ['navigate', 'empty', '', 200],
      ['navigate', undefined, '', 200],
      ['nested-navigate', 'document', '', 200],
      ['cors', 'empty', '', 200],
      ['cors', 'empty', '?redirect=true', 307],
      ['cors', 'document', '', 200],
      ['no-cors', 'image', '', 200],
      ['same-origin', 'empty', '', 200],
      [undefined, 'document', '', 200],
      [undefined, undefined, '', 200],
      ['Navigate', 'Document', '', 200]
    ] as const) {
      for (const product of PRODUCTS) {
        const answer = await app.inject({
          url: `/auth/${product}/login${parameter}`,
          headers: {
            ...(mode === undefined ? {} : { 'sec-fetch-mode': mode }),
            ...(dest === undefined ? {} : { 'sec-fetch-dest': dest })
          }
        })
        t.equal(answer.statusCode, status, `${mode} ${dest} ${parameter}`)
        t.equal(answer.cookies.length, status === 307 ? 1 : 0, 'a redirect sets the binding cookie')
      }
    }
  }
)

t.test(
  'A return_url replaces the configured path after success and failure, for both products',
  async (t) => {
    const running = await startTestService(t, PRODUCTION_ENV)
    for (const product of PRODUCTS) {
      for (const target of ['/after?x=1', `${FRONTEND_URL}/after?x=1`]) {
        const arrives = (plain: string) => plain.replace(/^([^?]*)\?/, `${FRONTEND_URL}/after?x=1&`)
        const start = async () =>
          (await requestLogin(running, product, { return_url: target })).json().url as string
        t.equal(
          (await openCallback(running, await answerConsentPage(await start()))).headers.location,
          arrives(buildSuccessUrl(product))
        )
        t.equal(
          (await openCallback(running, await answerConsentPage(await start(), 'cancel'))).headers
            .location,
          arrives(buildFailureUrl(product, 'access_denied'))
        )
      }
    }
  }
)

const SHARED_CLIENT = {
  id: 'one-app',
  secret: 'one-secret-4e5f6a',
  name: 'One app for both',
  access: 'resource' as const,
  scopes: [
    'read:jira-work',
    'read:jira-user',
    'read:space:confluence',
    'read:page:confluence',
    'search:confluence',
    'read:me',
    'offline_access'
  ],
  redirectUris: () => true
}
const SHARED_CLIENT_ENV = Object.fromEntries(
  ['JIRA', 'CONFLUENCE'].flatMap((id) => [
    [`${id}_OAUTH_CLIENT_ID`, SHARED_CLIENT.id],
    [`${id}_OAUTH_CLIENT_SECRET`, SHARED_CLIENT.secret],
    [`${id}_OAUTH_REDIRECT_URI`, 'http://localhost:3001/oauth/atlassian/callback']
  ])
)

for (const [first, second] of [
  ['jira', 'confluence'],
  ['confluence', 'jira']
] as const) {
  for (const [whose, state] of [
    ['the first user', undefined],
    ['a user whom the state names', 'user_id=2']
  ] as const) {
    t.test(
      `With one client for both products, ${first} still works for ${whose} after ${second} was connected`,
      async (t) => {
        const running = await startTestService(
          t,
          { ...PRODUCTION_ENV, ...SHARED_CLIENT_ENV },
          { clients: [SHARED_CLIENT] }
        )
        for (const email of ['ada@example.com', 'bob@example.com']) {
          await running.app.inject({ method: 'POST', url: '/users', payload: { email } })
        }
        const [owner, hint] = state === undefined ? [1, {}] : [2, { state }]
        const scopes: string[][] = []
        for (const [i, product] of [first, second].entries()) {
          scopes.push(
            ((await getAuthorizeParams(running, product, hint)).get('scope') ?? '').split(' ')
          )
          t.equal(
            (
              await openCallback(
                running,
                await answerConsentPage(
                  (await requestLogin(running, product, hint)).json().url as string
                )
              )
            ).headers.location,
            buildSuccessUrl(product, owner, state)
          )
          t.match(await waitForRun(running.app, product, i + 1), { state: 'succeeded' })
        }
        t.strictSame(
          [...(scopes[1] ?? [])].sort(),
          [...SHARED_CLIENT.scopes].sort(),
          'the second consent requests the scopes of the first product too'
        )
        t.notMatch(scopes[0]?.join(' '), second, 'the first consent requests its own scopes')
        t.equal(
          (
            await running.app.inject({
              method: 'POST',
              url: `/integrations/${first}/sync?owner_id=${owner}`
            })
          ).statusCode,
          202
        )
        t.match(await waitForRun(running.app, first, 3), { state: 'succeeded' })
      }
    )
  }
}

t.test('With a client for each product, each login requests its own scopes only', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  await new Browser(running.app).connect('jira')
  t.notMatch((await getAuthorizeParams(running, 'confluence')).get('scope'), /jira/)
  t.equal(
    (
      await new Browser(running.app).open('/auth/jira/callback?error=access_denied', {
        'x-request-id': TEST_REQUEST_ID
      })
    ).headers.location,
    buildFailureUrl('jira', 'access_denied')
  )
})
