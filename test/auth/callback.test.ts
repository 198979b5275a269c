import t, { type Test } from 'tap'
import { Browser, answerConsentPage, FRONTEND_URL } from '../helper.ts'
import {
  CALLBACK_CASES,
  DEVELOPMENT_CALLBACK_CASES,
  type CallbackCase
} from '../fixtures/callbacks.ts'
import {
  editUrl,
  buildFailureUrl,
  openCallback,
  requestLogin,
  buildExpectedProblem,
  PRODUCTION_ENV,
  TEST_REQUEST_ID,
  startTestService,
  buildSuccessUrl,
  countTokenCalls,
  type TestService
} from './helper.ts'

const describeExpectedResult = (error: CallbackCase['error']) =>
  error === null ? 'succeeds' : error === 422 ? 'is rejected with 422' : `ends as ${error}`

function defineCallbackTests(
  mode: string,
  env: NodeJS.ProcessEnv,
  callbacks: readonly CallbackCase[]
) {
  t.test(`A2: the callbacks of ${mode}`, async (t) => {
    const running = await startTestService(t, env)
    for (const accept of ['text/html', 'application/json']) {
      for (const entry of callbacks) {
        await t.test(
          `A2 T02 in ${mode}, a callback ${entry.title} ${describeExpectedResult(entry.error)} (${accept})`,
          async (t) => {
            await assertCallback(t, running, entry, accept)
          }
        )
      }
    }
  })
}

async function assertCallback(
  t: Test,
  running: TestService,
  { prepare, product, error, calls, state }: CallbackCase,
  accept: string
) {
  const before = await countTokenCalls(running.sandbox)
  const browser = new Browser(running.app)
  const address = await prepare({ ...running, browser })
  const answer = await browser.open(address, { accept, 'x-request-id': TEST_REQUEST_ID })
  t.equal((await countTokenCalls(running.sandbox)) - before, calls, 'calls to the token endpoint')
  if (error === null) {
    t.equal(answer.statusCode, 302)
    t.equal(answer.headers.location, buildSuccessUrl(product, 1, state))
  } else if (error === 422) {
    t.equal(answer.statusCode, 422)
    if (accept === 'text/html') t.match(answer.body, /validation_failed/, 'a page for browsers')
    else t.match(answer.json(), { status: 422, code: 'validation_failed' })
  } else if (accept === 'text/html') {
    t.equal(answer.statusCode, 302)
    t.equal(answer.headers.location, buildFailureUrl(product, error, state))
  } else {
    t.equal(answer.headers['content-type'], 'application/problem+json')
    t.equal(answer.headers.location, undefined)
    t.match(answer.json(), buildExpectedProblem(error))
    t.equal(answer.statusCode, answer.json().status)
  }
}

defineCallbackTests('production', PRODUCTION_ENV, CALLBACK_CASES)
defineCallbackTests('development', { APP_ENV: 'development' }, DEVELOPMENT_CALLBACK_CASES)

t.test('A2: a decline in another browser does not consume the login', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  const browser = new Browser(running.app)
  const address = await browser.consent('jira')
  t.equal(
    (
      await openCallback(
        running,
        editUrl(address, (query) => {
          query.set('error', 'access_denied')
        })
      )
    ).headers.location,
    buildFailureUrl('jira', 'access_denied')
  )
  t.equal((await browser.open(address)).headers.location, buildSuccessUrl('jira'))
})

for (const wrongTarget of ['/auth/confluence/callback', '/auth/jira/callback?code='] as const) {
  t.test(`A2: a callback sent to ${wrongTarget} does not consume the login`, async (t) => {
    const { app } = await startTestService(t, PRODUCTION_ENV)
    const browser = new Browser(app)
    const address = await browser.consent('jira')
    const [path, empty] = wrongTarget.split('?')
    const wrong = await browser.open(
      editUrl(
        address,
        (query) => {
          if (empty !== undefined) query.set('code', '')
        },
        path
      )
    )
    t.match(wrong.headers.location, /status=error/)
    t.equal((await browser.open(address)).headers.location, buildSuccessUrl('jira'))
  })
}

t.test('A2: over https, the binding secret is in a __Host- cookie and in no other', async (t) => {
  const running = await startTestService(t, {
    ...PRODUCTION_ENV,
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
  const callback = await answerConsentPage(start.headers.location ?? '')
  const [[name, secret] = ['', '']] = browser.cookies
  const otherBrowser = new Browser(running.app)
  otherBrowser.cookies.set(name.replace('__Host-', ''), secret)
  t.equal(
    (await otherBrowser.open(callback, { 'x-request-id': TEST_REQUEST_ID })).headers.location,
    buildFailureUrl('jira', 'wrong_browser'),
    'a sibling domain could have set that cookie'
  )
  t.equal((await browser.open(callback)).headers.location, buildSuccessUrl('jira'))
})

t.test(
  'A2: over plain http, the cookie has no prefix and otherwise the same attributes',
  async (t) => {
    const running = await startTestService(t)
    const start = await new Browser(running.app).open('/auth/jira/login?redirect=true')
    t.match(start.cookies, [
      { name: /^flow-[\w-]{12}$/, path: '/', httpOnly: true, sameSite: 'Lax', maxAge: 600 }
    ])
    t.notOk(
      start.headers.location?.includes(start.cookies[0]?.value ?? 'nothing'),
      'the binding secret is not in the authorize URL'
    )
    t.equal((await requestLogin(running, 'jira')).cookies.length, 0, 'a program gets no cookie')
  }
)

t.test('A2: a failure redirects to the target of the login', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  const browser = new Browser(running.app)
  const address = await browser.consent('jira', {
    query: '&return_url=/settings',
    decision: 'cancel'
  })
  const { headers } = await browser.open(address, { 'x-request-id': TEST_REQUEST_ID })
  t.equal(
    headers.location,
    buildFailureUrl('jira', 'access_denied').replace(
      `${FRONTEND_URL}/oauth/jira`,
      `${FRONTEND_URL}/settings`
    )
  )
})
