import t from 'tap'
import { MINUTE_MS, DAY_MS } from '../time.ts'
import {
  ACME,
  CALLBACK,
  createCallers,
  acceptConsent,
  getWithToken,
  redeemCode,
  refreshTokens,
  signIn,
  startSandbox,
  tokenRequest
} from './helper.ts'

const errorResponse = (status: number, error: string, description?: string) => ({
  status,
  body: { error, ...(description !== undefined && { error_description: description }) }
})

t.test('a code yields tokens of realistic length, valid for an hour, once', async (t) => {
  const { url } = await startSandbox(t)
  const code = (await acceptConsent(url)).get('code')
  const { status, headers, body } = await redeemCode(url, code)
  t.equal(status, 200)
  t.match(headers.get('atl-traceid'), /^[0-9a-f]{32}$/)
  t.match(body, { token_type: 'Bearer', expires_in: 3600 })
  for (const token of [body.access_token, body.refresh_token]) {
    t.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
    t.ok(token.length >= 1500 && token.length <= 3072)
  }
  t.match(JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString()), {
    sub: /^712020:/,
    aud: 'sandbox-client',
    iss: 'https://auth.atlassian.com'
  })
  t.match(
    await redeemCode(url, code),
    errorResponse(400, 'invalid_request', 'authorization_code is invalid')
  )
})

t.test('only offline_access yields a refresh token', async (t) => {
  const { url } = await startSandbox(t)
  t.notOk((await signIn(url, { scope: 'read:jira-work' })).refresh_token)
})

t.test('a code expires after ten minutes', async (t) => {
  const { url, admin } = await startSandbox(t)
  const code = (await acceptConsent(url)).get('code')
  await admin('clock', { advance_ms: 10 * MINUTE_MS })
  t.match(
    await redeemCode(url, code),
    errorResponse(400, 'invalid_request', 'authorization_code is invalid')
  )
})

t.test('the token endpoint accepts forms and JSON', async (t) => {
  const { url } = await startSandbox(t)
  const code = (await acceptConsent(url)).get('code') ?? ''
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: 'sandbox-client',
    client_secret: 'sandbox-secret',
    code,
    redirect_uri: CALLBACK
  })
  t.equal((await fetch(`${url}/oauth/token`, { method: 'POST', body })).status, 200)
  const garbage = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: '{',
    headers: { 'content-type': 'application/json' }
  })
  t.equal(garbage.status, 400)
  t.match(await garbage.json(), { error: 'invalid_request' })
})

t.test("the token endpoint returns Atlassian's errors", async (t) => {
  const { url, admin } = await startSandbox(t)
  const code = (await acceptConsent(url)).get('code')
  const exchange = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK }
  t.match(
    await tokenRequest(url, { ...exchange, client_secret: 'wrong' }),
    errorResponse(401, 'access_denied', 'Unauthorized')
  )
  t.match(
    await tokenRequest(url, { ...exchange, client_secret: undefined }),
    errorResponse(401, 'access_denied', 'Unauthorized')
  )
  await admin('tokens', { missing_secret: 'parameters' })
  t.match(
    await tokenRequest(url, { ...exchange, client_secret: undefined }),
    errorResponse(401, 'access_denied', 'Incorrect request parameters')
  )
  t.match(
    await tokenRequest(url, { ...exchange, client_id: 'nobody' }),
    errorResponse(401, 'access_denied', 'Unauthorized')
  )
  t.match(
    await tokenRequest(url, { ...exchange, redirect_uri: `${CALLBACK}/` }),
    errorResponse(400, 'invalid_request')
  )
  t.match(
    await tokenRequest(url, { ...exchange, grant_type: 'password' }),
    errorResponse(400, 'unsupported_grant_type')
  )
  t.match(
    await tokenRequest(url, { grant_type: 'refresh_token' }),
    errorResponse(400, 'invalid_request')
  )
  t.match(
    await refreshTokens(url, 'a.b.c'),
    errorResponse(403, 'unauthorized_client', 'refresh_token is invalid')
  )
  const { refresh_token: token } = await signIn(url)
  t.match(
    await tokenRequest(url, {
      grant_type: 'refresh_token',
      refresh_token: token,
      scope: 'read:me'
    }),
    errorResponse(400, 'invalid_request')
  )
  t.equal((await refreshTokens(url, token)).status, 200)
})

t.test('old tokens, access tokens included, work for ten minutes after a refresh', async (t) => {
  const { url, admin } = await startSandbox(t)
  const old = await signIn(url)
  const { body: fresh } = await refreshTokens(url, old.refresh_token)
  t.not(fresh.refresh_token, old.refresh_token)
  const status = async (token: string) => (await createCallers(url, token).jira('/myself')).status
  await admin('clock', { advance_ms: 10 * MINUTE_MS - 1000 })
  t.equal(await status(old.access_token), 200)
  await admin('clock', { advance_ms: 2000 })
  t.match(await createCallers(url, old.access_token).jira('/myself'), {
    status: 401,
    body: { code: 401, message: 'Unauthorized' }
  })
  t.equal(await status(fresh.access_token), 200)
})

t.test('a second exchange within the leeway works, and the newest pair stays valid', async (t) => {
  const { url, admin } = await startSandbox(t)
  const old = await signIn(url)
  const { body: first } = await refreshTokens(url, old.refresh_token)
  const { body: second } = await refreshTokens(url, old.refresh_token)
  await admin('clock', { advance_ms: 11 * MINUTE_MS })
  t.equal((await createCallers(url, first.access_token).jira('/myself')).status, 401)
  t.equal((await createCallers(url, second.access_token).jira('/myself')).status, 200)
  t.equal((await refreshTokens(url, second.refresh_token)).status, 200)
})

t.test('an old refresh token after the leeway revokes the whole family', async (t) => {
  const { url, admin } = await startSandbox(t)
  const old = await signIn(url)
  const { body: fresh } = await refreshTokens(url, old.refresh_token)
  await admin('clock', { advance_ms: 11 * MINUTE_MS })
  t.match(
    await refreshTokens(url, old.refresh_token),
    errorResponse(403, 'unauthorized_client', 'refresh_token is invalid')
  )
  t.match(
    await refreshTokens(url, fresh.refresh_token),
    errorResponse(403, 'invalid_grant', 'Unknown or invalid refresh token.')
  )
  t.equal((await createCallers(url, fresh.access_token).jira('/myself')).status, 401)
  t.match(await admin('stats', undefined, 'GET'), { family_revocations: 1 })
})

t.test('an access token expires after an hour', async (t) => {
  const { url, admin } = await startSandbox(t)
  const { access_token: token } = await signIn(url)
  await admin('clock', { advance_ms: 60 * MINUTE_MS })
  t.match(await getWithToken(`${url}/oauth/token/accessible-resources`, token), {
    status: 401,
    body: { code: 401, message: 'Unauthorized' }
  })
})

t.test(
  'a refresh token expires after 90 idle days, and 365 days after the consent in any case',
  async (t) => {
    const { url, admin } = await startSandbox(t)
    const idle = await signIn(url)
    let token = (await signIn(url, { sandbox_account: 'sam' })).refresh_token
    for (let days = 80; days < 365; days += 80) {
      await admin('clock', { advance_ms: 80 * DAY_MS })
      const { status, body } = await refreshTokens(url, token)
      t.equal(status, 200, `after ${days} days`)
      token = body.refresh_token
    }
    t.match(
      await refreshTokens(url, idle.refresh_token),
      errorResponse(403, 'invalid_grant', 'Unknown or invalid refresh token.')
    )
    await admin('clock', { advance_ms: 46 * DAY_MS })
    t.match(
      await refreshTokens(url, token),
      errorResponse(403, 'invalid_grant', 'Unknown or invalid refresh token.')
    )
  }
)

t.test('revoking a grant and changing a password end refreshing', async (t) => {
  const { url, admin } = await startSandbox(t)
  const [dana, sam] = [await signIn(url), await signIn(url, { sandbox_account: 'sam' })]
  await admin('revoke', { account_id: 'dana' })
  await admin('password-change', { account_id: 'sam' })
  t.match(
    await refreshTokens(url, dana.refresh_token),
    errorResponse(403, 'invalid_grant', 'Token has been expired or revoked.')
  )
  t.match(
    await refreshTokens(url, sam.refresh_token),
    errorResponse(403, 'invalid_grant', 'Unknown or invalid refresh token.')
  )
  t.equal((await createCallers(url, dana.access_token).jira('/myself')).status, 401)
})

t.test('a new consent replaces the scopes of the grant, also for issued tokens', async (t) => {
  const { url } = await startSandbox(t)
  const jira = await signIn(url, { scope: 'read:jira-user offline_access' })
  const confluence = await signIn(url, { scope: 'read:confluence-user offline_access' })
  t.equal(
    (await createCallers(url, confluence.access_token).wiki('/rest/api/user/current')).status,
    200
  )
  t.match(await createCallers(url, jira.access_token).jira('/myself'), {
    status: 401,
    body: { message: 'Unauthorized; scope does not match' }
  })
  t.equal(
    (await refreshTokens(url, jira.refresh_token)).body.scope,
    'read:confluence-user offline_access'
  )
})

t.test('uninstalling the app from a site keeps the token and removes the site', async (t) => {
  const { url, admin } = await startSandbox(t)
  const { access_token: token } = await signIn(url)
  await admin('uninstall', { site: 'acme' })
  t.match(await createCallers(url, token, ACME).jira('/myself'), {
    status: 403,
    body: { code: 403, message: 'The app is not installed on this instance' }
  })
  const { body } = await getWithToken(`${url}/oauth/token/accessible-resources`, token)
  t.notOk(body.some(({ name }: { name: string }) => name === 'acme'))
})
