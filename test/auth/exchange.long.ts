import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import {
  Browser,
  answerConsentPage,
  buildSandboxEnv,
  buildTestApp,
  FRONTEND_URL,
  CLIENT_SECRET
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { CANARY, TOLERATED_TOKEN_FIELDS, FAILED_TOKEN_CASES } from '../fixtures/token-answers.ts'
import {
  openCallback,
  requestLogin,
  PRODUCTION_ENV,
  startTestService,
  buildSuccessUrl,
  countTokenCalls,
  type TestService
} from './helper.ts'

const SHORT_TIMEOUT_ENV = { UPSTREAM_ANSWER_TIMEOUT_MS: '400' }

/** No user, no connection, and none of Atlassian's error text. */
async function assertNothingStored(t: Test, { app, logText }: TestService, body: string) {
  t.same((await app.inject('/users')).json(), [], 'no user')
  t.match(
    (await app.inject({ method: 'POST', url: '/integrations/jira/connect', payload: {} })).json(),
    { connected: false }
  )
  t.notOk(`${body}${logText()}`.includes(CANARY), "Atlassian's error text is not passed on")
  t.notOk(`${body}${logText()}`.includes(CLIENT_SECRET))
}

t.test('A token endpoint that returns no tokens ends the login', async (t) => {
  const hasty = await startTestService(t, { ...PRODUCTION_ENV, ...SHORT_TIMEOUT_ENV })
  // Large responses are slow on a busy machine; a longer timeout accepts them.
  const patient = await startTestService(t, PRODUCTION_ENV)
  for (const { title, fault, error, hasTraceId } of FAILED_TOKEN_CASES) {
    const running = fault.kind === 'huge' ? patient : hasty
    await t.test(
      `A login whose code is answered with ${title} ends as ${error} and stores nothing`,
      async (t) => {
        const browser = new Browser(running.app)
        const callback = await browser.consent('jira')
        const logged = running.lines().length
        await running.sandbox.admin('faults', {
          match: { path: '/oauth/token', method: 'POST' },
          ...fault
        })
        const before = await countTokenCalls(running.sandbox)
        // The sandbox counts a call when it responds.
        const counted = fault.kind === 'delay' ? 0 : 1
        const answer = await browser.open(callback)
        t.equal(answer.statusCode, 302)
        const { origin, pathname, searchParams } = new URL(answer.headers.location ?? '')
        t.same([origin, pathname], [FRONTEND_URL, '/oauth/jira'])
        t.match(Object.fromEntries(searchParams), {
          provider: 'jira',
          status: 'error',
          error,
          message: /^[A-Z].*\.$/,
          request_id: answer.headers['x-request-id']
        })
        t.equal(
          (await countTokenCalls(running.sandbox)) - before,
          counted,
          'one call, and no redirect followed'
        )
        await assertNothingStored(t, running, answer.headers.location ?? '')
        const lines = running.lines().slice(logged)
        t.match(
          lines.find(({ event }) => event === 'oauth_callback_error'),
          {
            level: 'warn',
            request_id: answer.headers['x-request-id'],
            err: { error_code: error, stack: /./ }
          }
        )
        if (hasTraceId === true) {
          t.match(
            lines.find(({ event }) => event === 'upstream_error'),
            { error_code: error, trace_id: '0123456789abcdef0123456789abcdef' }
          )
        }

        const again = await browser.open(callback, { accept: 'application/json' })
        t.match(
          again.json(),
          { status: 502, code: error },
          'a repeated callback gets the same outcome, as a problem document on request'
        )
        t.equal(again.statusCode, 502)
        t.equal((await countTokenCalls(running.sandbox)) - before, counted)
        await running.sandbox.admin('faults', undefined, 'DELETE')
      }
    )
  }
})

t.test('A wrong client secret is reported as a configuration error of the operator', async (t) => {
  const running = await startTestService(t, {
    ...PRODUCTION_ENV,
    JIRA_OAUTH_CLIENT_SECRET: 'planted-wrong-secret-1b2c3d'
  })
  const { headers } = await new Browser(running.app).connect('jira')
  t.match(headers.location, /error=oauth_misconfigured&message=Atlassian%20rejected/)
  await assertNothingStored(t, running, headers.location ?? '')
  t.notOk(running.logText().includes('planted-wrong-secret'))
})

t.test(
  'The exchange uses the redirect URI of the login, even if the setting changed before the callback',
  async (t) => {
    const folder = t.testdir()
    const env = { ...PRODUCTION_ENV, INTEGRATION_DB_URL: await ensureDatabase(t, `${folder}/a.db`) }
    const before = await startTestService(t, env)
    const browser = new Browser(before.app)
    const callback = await browser.consent('jira')
    const after = await startTestService(t, {
      ...env,
      ATLASSIAN_AUTH_URL: before.sandbox.url,
      ATLASSIAN_API_URL: before.sandbox.url,
      JIRA_OAUTH_REDIRECT_URI: 'http://localhost:4000/auth/jira/callback'
    })
    const later = new Browser(after.app)
    for (const [name, value] of browser.cookies) later.cookies.set(name, value)
    t.equal((await later.open(callback)).headers.location, buildSuccessUrl('jira'))
  }
)

t.test(
  'A client id that changed between login and callback ends the login without a call',
  async (t) => {
    const env = {
      ...PRODUCTION_ENV,
      INTEGRATION_DB_URL: await ensureDatabase(t, `${t.testdir()}/a.db`)
    }
    const before = await startTestService(t, env)
    const callback = await answerConsentPage(
      (await requestLogin(before, 'jira')).json().url as string
    )
    const after = await startTestService(t, { ...env, JIRA_OAUTH_CLIENT_ID: 'another-app' })
    t.match((await openCallback(after, callback)).headers.location, /error=oauth_misconfigured/)
    t.equal((await countTokenCalls(before.sandbox)) + (await countTokenCalls(after.sandbox)), 0)
  }
)

for (const [call, path] of [
  ['the account', '/me'],
  ['the sites', '/oauth/token/accessible-resources']
] as const) {
  for (const [title, fault, error] of [
    ['500', { kind: 'status', status: 500, body: CANARY }, 'upstream_failed'],
    ['401', { kind: 'status', status: 401, body: { message: CANARY } }, 'upstream_refused'],
    ['429', { kind: 'status', status: 429 }, 'upstream_rate_limited'],
    ['HTML', { kind: 'html', status: 200, body: CANARY }, 'upstream_invalid_answer'],
    ['a closed connection', { kind: 'drop-before' }, 'upstream_unreachable'],
    ['silence', { kind: 'hang' }, 'upstream_timeout']
  ] as const) {
    t.test(
      `A valid code connects nothing if the request for ${call} is answered with ${title}`,
      async (t) => {
        const running = await startTestService(t, { ...PRODUCTION_ENV, ...SHORT_TIMEOUT_ENV })
        const browser = new Browser(running.app)
        const callback = await browser.consent('jira')
        await running.sandbox.admin('faults', { match: { path }, ...fault, times: 10 })
        const { headers } = await browser.open(callback)
        t.match(
          headers.location,
          new RegExp(`^${FRONTEND_URL}/oauth/jira\\?provider=jira&status=error&error=${error}&`)
        )
        t.ok(
          running
            .lines()
            .some(({ event, error_code: code }) => event === 'upstream_error' && code === error)
        )
        await assertNothingStored(t, running, headers.location ?? '')
        await running.sandbox.admin('faults', undefined, 'DELETE')
        t.equal(
          (await new Browser(running.app).connect('jira')).headers.location,
          buildSuccessUrl('jira'),
          'the next login works'
        )
      }
    )
  }
}

t.test('An unusual but valid token response connects', async (t) => {
  const running = await startTestService(t)
  for (const [title, oddity] of Object.entries(TOLERATED_TOKEN_FIELDS)) {
    await t.test(`A token response with ${title} connects`, async (t) => {
      const { url } = (await requestLogin(running, 'jira')).json()
      const callback = await answerConsentPage(url as string)
      const tokens = (await (
        await fetch(`${running.sandbox.url}/oauth/token`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            grant_type: 'authorization_code',
            client_id: 'jira-app',
            client_secret: CLIENT_SECRET,
            code: new URL(callback).searchParams.get('code'),
            redirect_uri: 'http://localhost:3001/auth/jira/callback'
          })
        })
      ).json()) as Record<string, unknown>
      t.type(tokens.access_token, 'string')
      const { expires_in: _, ...rest } = tokens
      await running.sandbox.admin('faults', {
        match: { path: '/oauth/token', method: 'POST' },
        kind: 'status',
        status: 200,
        body: { ...rest, ...oddity }
      })
      const start = running.lines().length
      t.equal((await openCallback(running, callback)).headers.location, buildSuccessUrl('jira'))
      const [line] = running
        .lines()
        .slice(start)
        .filter(({ event }) => event === 'token_exchange_success')
      t.ok(line?.expires_in_s > 0 && line?.expires_in_s <= 3600, 'replaces an implausible lifetime')
      t.match((await running.app.store.connections.get(1, 'jira'))?.grant, {
        accountId: running.sandbox.state.users[0]?.accountId,
        scopes: /^read:jira-work/
      })
    })
  }
})

t.test('A login spends no code if this service lacks the key of the connection', async (t) => {
  const [K1, K2] = [generateKeyEntry('k1'), generateKeyEntry('k2')]
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const first = await startTestService(t, { INTEGRATION_DB_URL: url, VAULT_KEYS: K1 })
  const { sandbox } = first
  const open = async (keys: string) =>
    await buildTestApp(t, {
      ...buildSandboxEnv(sandbox.url),
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: keys
    })
  await new Browser(first.app).connect('jira')
  await first.app.close()
  await (await open(`${K2},${K1}`)).app.close()
  const before = await countTokenCalls(sandbox)
  const { app } = await open(K2)
  const { headers } = await new Browser(app).connect('jira')
  t.match(headers.location, /error=vault_key_missing/)
  t.equal(await countTokenCalls(sandbox), before)

  // Another person with the same account: the tokens would be shared.
  const browser = new Browser(app)
  const other = await browser.open(
    await browser.consent('jira', { query: '&state=email:other@example.com' })
  )
  t.match(other.headers.location, /error=vault_key_missing/)
  t.equal((await queryDatabase(url, 'select id from connections')).length, 1)
})
