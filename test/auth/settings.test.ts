import type { AddressInfo } from 'node:net'
import t from 'tap'
import { Browser, decide, FRONT_END, synced } from '../helper.ts'
import {
  authorization,
  failure,
  finish,
  login,
  PRODUCTION,
  PRODUCTS,
  REQUEST_ID,
  service,
  success
} from './helper.ts'

const PARTS = ['client_id', 'client_secret', 'redirect_uri'] as const
/** Every choice of missing settings but none. */
const CHOICES = Array.from({ length: 7 }, (_, i) => PARTS.filter((_, bit) => ((i + 1) >> bit) & 1))

/** Confluence falls back on Jira's settings, so both lose them. */
function without(parts: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(
    ['JIRA', 'CONFLUENCE'].flatMap((id) =>
      parts.map((part) => [`${id}_OAUTH_${part.toUpperCase()}`, undefined])
    )
  )
}

for (const parts of CHOICES) {
  const missing = Object.fromEntries(PARTS.map((part) => [part, parts.includes(part)]))

  t.test(
    `In production a login without ${parts.join(', ')} is refused, and says what is missing`,
    async (t) => {
      const running = await service(t, { ...PRODUCTION, ...without(parts) })
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
          (await finish(running, `/auth/${product}/callback?code=x&state=y`)).headers.location,
          failure(product, 'unknown_state'),
          'and its callback is a redirect all the same'
        )
      }
    }
  )

  t.test(
    `In development a login without ${parts.join(', ')} goes to the sandbox, and says what is missing`,
    async (t) => {
      const running = await service(t, { APP_ENV: 'development', ...without(parts) })
      for (const product of PRODUCTS) {
        const answer = await login(running, product)
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
  'In development, without any setting, the whole way through the sandbox works',
  async (t) => {
    const { app } = await service(t, {
      APP_ENV: 'development',
      APP_FRONTEND_URL: undefined,
      ...without(PARTS)
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const host = `127.0.0.1:${(app.server.address() as AddressInfo).port}`
    for (const [i, product] of PRODUCTS.entries()) {
      const start = await app.inject({
        url: `/auth/${product}/login?redirect=true`,
        headers: { host }
      })
      const callback = await decide(start.headers.location ?? '')
      const cookie = start.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
      const landed = await fetch(callback, { redirect: 'manual', headers: { cookie } })
      t.equal(landed.headers.get('location'), success(product).replace(FRONT_END, `http://${host}`))
      t.match(
        await (await fetch(landed.headers.get('location') ?? '')).text(),
        / is connected<\/h1>/
      )
      t.match(await synced(app, product, i + 1), { state: 'succeeded' })
    }
  }
)

const REDIRECT: ReadonlyArray<[query: string, status: number]> = [
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
  ['?Redirect=true', 422],
  ['?redirect[]=true', 422]
]

t.test('The redirect parameter is true, false, 1 or 0, for both products alike', async (t) => {
  const { app } = await service(t, PRODUCTION)
  for (const product of PRODUCTS) {
    for (const [query, status] of REDIRECT) {
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
  'A page that is opened is redirected, a script gets JSON, and the parameter decides over both',
  async (t) => {
    const { app } = await service(t, PRODUCTION)
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
        t.equal(answer.cookies.length, status === 307 ? 1 : 0, 'who is redirected is bound')
      }
    }
  }
)

t.test(
  'A return_url replaces the path after a success and after a failure, for both products',
  async (t) => {
    const running = await service(t, PRODUCTION)
    for (const product of PRODUCTS) {
      for (const target of ['/after?x=1', `${FRONT_END}/after?x=1`]) {
        const arrives = (plain: string) => plain.replace(/^([^?]*)\?/, `${FRONT_END}/after?x=1&`)
        const start = async () =>
          (await login(running, product, { return_url: target })).json().url as string
        t.equal(
          (await finish(running, await decide(await start()))).headers.location,
          arrives(success(product))
        )
        t.equal(
          (await finish(running, await decide(await start(), 'cancel'))).headers.location,
          arrives(failure(product, 'access_denied'))
        )
      }
    }
  }
)

const ONE_APP = {
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
const ONE = Object.fromEntries(
  ['JIRA', 'CONFLUENCE'].flatMap((id) => [
    [`${id}_OAUTH_CLIENT_ID`, ONE_APP.id],
    [`${id}_OAUTH_CLIENT_SECRET`, ONE_APP.secret],
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
      `With one client for both products, ${first} goes on for ${whose} after ${second} was connected`,
      async (t) => {
        const running = await service(t, { ...PRODUCTION, ...ONE }, { clients: [ONE_APP] })
        for (const email of ['ada@example.com', 'bob@example.com']) {
          await running.app.inject({ method: 'POST', url: '/users', payload: { email } })
        }
        const [owner, hint] = state === undefined ? [1, {}] : [2, { state }]
        const scopes: string[][] = []
        for (const [i, product] of [first, second].entries()) {
          scopes.push(((await authorization(running, product, hint)).get('scope') ?? '').split(' '))
          t.equal(
            (
              await finish(
                running,
                await decide((await login(running, product, hint)).json().url as string)
              )
            ).headers.location,
            success(product, owner, state)
          )
          t.match(await synced(running.app, product, i + 1), { state: 'succeeded' })
        }
        t.strictSame(
          [...(scopes[1] ?? [])].sort(),
          [...ONE_APP.scopes].sort(),
          'the second consent asks for what the first one holds, too'
        )
        t.notMatch(scopes[0]?.join(' '), second, 'the first one asked for its own')
        t.equal(
          (
            await running.app.inject({
              method: 'POST',
              url: `/integrations/${first}/sync?owner_id=${owner}`
            })
          ).statusCode,
          202
        )
        t.match(await synced(running.app, first, 3), { state: 'succeeded' })
      }
    )
  }
}

t.test('With a client for each product, neither asks for the scopes of the other', async (t) => {
  const running = await service(t, PRODUCTION)
  await new Browser(running.app).connect('jira')
  t.notMatch((await authorization(running, 'confluence')).get('scope'), /jira/)
  t.equal(
    (
      await new Browser(running.app).open('/auth/jira/callback?error=access_denied', {
        'x-request-id': REQUEST_ID
      })
    ).headers.location,
    failure('jira', 'access_denied')
  )
})
