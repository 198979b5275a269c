import t, { type Test } from 'tap'
import { Browser, decide, FRONT_END } from '../helper.ts'
import { CALLBACKS, DEVELOPMENT, type Callback } from '../fixtures/callbacks.ts'
import {
  edited,
  failure,
  finish,
  login,
  problem,
  PRODUCTION,
  REQUEST_ID,
  service,
  success,
  tokenCalls,
  type Service
} from './helper.ts'

const EXPECTED = (error: Callback['error']) =>
  error === null ? 'succeeds' : error === 422 ? 'does not fit' : `ends as ${error}`

function judge(mode: string, env: NodeJS.ProcessEnv, callbacks: readonly Callback[]) {
  t.test(`A2: the callbacks of ${mode}`, async (t) => {
    const running = await service(t, env)
    for (const accept of ['text/html', 'application/json']) {
      for (const entry of callbacks) {
        await t.test(
          `A2 T02 in ${mode}, a callback ${entry.title} ${EXPECTED(entry.error)} (${accept})`,
          async (t) => {
            await prove(t, running, entry, accept)
          }
        )
      }
    }
  })
}

async function prove(
  t: Test,
  running: Service,
  { prepare, product, error, calls, state }: Callback,
  accept: string
) {
  const before = await tokenCalls(running.sandbox)
  const browser = new Browser(running.app)
  const address = await prepare({ ...running, browser })
  const answer = await browser.open(address, { accept, 'x-request-id': REQUEST_ID })
  t.equal((await tokenCalls(running.sandbox)) - before, calls, 'calls to the token endpoint')
  if (error === null) {
    t.equal(answer.statusCode, 302)
    t.equal(answer.headers.location, success(product, 1, state))
  } else if (error === 422) {
    t.match(answer.json(), { status: 422, code: 'validation_failed' })
  } else if (accept === 'text/html') {
    t.equal(answer.statusCode, 302)
    t.equal(answer.headers.location, failure(product, error))
  } else {
    t.equal(answer.headers['content-type'], 'application/problem+json')
    t.equal(answer.headers.location, undefined)
    t.match(answer.json(), problem(error))
    t.equal(answer.statusCode, answer.json().status)
  }
}

judge('production', PRODUCTION, CALLBACKS)
judge('development', { APP_ENV: 'development' }, DEVELOPMENT)

t.test('A2: a decline in another browser does not use the login up', async (t) => {
  const running = await service(t, PRODUCTION)
  const browser = new Browser(running.app)
  const address = await browser.consent('jira')
  t.equal(
    (
      await finish(
        running,
        edited(address, (query) => {
          query.set('error', 'access_denied')
        })
      )
    ).headers.location,
    failure('jira', 'access_denied')
  )
  t.equal((await browser.open(address)).headers.location, success('jira'))
})

for (const slip of ['/auth/confluence/callback', '/auth/jira/callback?code='] as const) {
  t.test(`A2: a hit that went to ${slip} does not use the login up`, async (t) => {
    const { app } = await service(t, PRODUCTION)
    const browser = new Browser(app)
    const address = await browser.consent('jira')
    const [path, empty] = slip.split('?')
    const wrong = await browser.open(
      edited(
        address,
        (query) => {
          if (empty !== undefined) query.set('code', '')
        },
        path
      )
    )
    t.match(wrong.headers.location, /status=error/)
    t.equal((await browser.open(address)).headers.location, success('jira'))
  })
}

t.test(
  'A2: a browser that comes by https keeps its key in a __Host- cookie, and only there',
  async (t) => {
    const running = await service(t, {
      ...PRODUCTION,
      JIRA_OAUTH_REDIRECT_URI: 'https://connector.example/auth/jira/callback'
    })
    const browser = new Browser(running.app)
    const start = await browser.open('/auth/jira/login?redirect=true')
    t.match(start.cookies, [
      {
        name: /^__Host-flow-[\w-]{12}$/,
        value: /^[\w-]{43}$/,
        path: '/',
        secure: true,
        httpOnly: true,
        sameSite: 'Lax',
        maxAge: 600
      }
    ])
    t.notMatch(start.cookies[0], { domain: /./ })
    const callback = await decide(start.headers.location ?? '')
    const [[name, key] = ['', '']] = browser.cookies
    const planted = new Browser(running.app)
    planted.cookies.set(name.replace('__Host-', ''), key)
    t.equal(
      (await planted.open(callback, { 'x-request-id': REQUEST_ID })).headers.location,
      failure('jira', 'wrong_browser'),
      'any neighbour domain could have set that one'
    )
    t.equal((await browser.open(callback)).headers.location, success('jira'))
  }
)

t.test(
  'A2: by plain http the cookie does without the prefix, and says as much otherwise',
  async (t) => {
    const running = await service(t)
    const start = await new Browser(running.app).open('/auth/jira/login?redirect=true')
    t.match(start.cookies, [
      { name: /^flow-[\w-]{12}$/, path: '/', httpOnly: true, sameSite: 'Lax', maxAge: 600 }
    ])
    t.notOk(
      start.headers.location?.includes(start.cookies[0]?.value ?? 'nothing'),
      'the key is not in the authorize URL'
    )
    t.equal((await login(running, 'jira')).cookies.length, 0, 'a program gets none')
  }
)

t.test('A2: a failure goes back to where the login said', async (t) => {
  const running = await service(t, PRODUCTION)
  const browser = new Browser(running.app)
  const address = await browser.consent('jira', {
    query: '&return_url=/settings',
    decision: 'cancel'
  })
  const { headers } = await browser.open(address, { 'x-request-id': REQUEST_ID })
  t.equal(
    headers.location,
    failure('jira', 'access_denied').replace(`${FRONT_END}/oauth/jira`, `${FRONT_END}/settings`)
  )
})
