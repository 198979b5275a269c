import { once } from 'node:events'
import { get } from 'node:http'
import t from 'tap'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { Browser, buildAppWithSandbox, answerConsentPage, waitFor } from '../helper.ts'
import { buildBearerHeader, createApiKey, PROTECTED_ENV, startIdentityProvider } from './helper.ts'

/** The limit in threat T07. */
const END_TIMEOUT_MS = 5_000

t.test(
  'T07 An event stream ends when its key or token ends or its user is removed; other streams continue',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app, sandbox } = await buildAppWithSandbox(t, {
      env: { ...PROTECTED_ENV, ...idp.env },
      sandbox: SMALL_SANDBOX
    })
    const base = await app.listen({ host: '127.0.0.1', port: 0 })
    const admin = await createApiKey(app, ['admin'])
    const { headers } = admin
    // A person with a run that waits for a hanging Atlassian call.
    await sandbox.admin('faults', { kind: 'hang', match: { path: 'project/search' } })
    const person = buildBearerHeader(await idp.sign({ sub: 'ada' }))
    const { url: login } = (await app.inject({ url: '/auth/jira/login', headers: person })).json()
    const browser = new Browser(app)
    const {
      headers: { location = '' }
    } = await browser.open(await answerConsentPage(await browser.continueLogin(login as string)))
    const id = Number(new URL(location as string).searchParams.get('user_id'))
    const run = await waitFor(
      async () =>
        (await app.inject({ url: '/integrations/jira/sync/runs', headers: person })).json()[0]
          ?.id as number | undefined,
      5_000
    )

    /** Follows the run over a separate socket. */
    async function follow(headers: object) {
      const request = get(`${base}/integrations/jira/sync/runs/${run}/events`, {
        headers: { ...headers },
        agent: false
      })
      const [answer] = await once(request, 'response')
      const stream = {
        status: answer.statusCode as number,
        text: '',
        endedAt: undefined as number | undefined
      }
      answer.on('data', (chunk: Buffer) => {
        stream.text += chunk.toString()
      })
      // An aborted stream counts as ended.
      answer.on('error', () => {})
      const ended = new Promise<void>((resolve) =>
        answer.on('close', () => {
          stream.endedAt = performance.now()
          resolve()
        })
      )
      t.teardown(() => {
        request.destroy()
      })
      return { stream, ended }
    }

    // The clock tolerance accepts a token for 30 seconds after it expires.
    const shortly = buildBearerHeader(
      await idp.sign({ sub: 'ada', exp: Math.floor(Date.now() / 1000) - 28 })
    )
    const revoked = await createApiKey(app, ['sync:read'], { name: 'revoked' })
    const ending = await createApiKey(app, ['sync:read'], {
      expiresAt: new Date(Date.now() + 1_500)
    })
    const [byRevoked, byEnding, byShort, byAdmin, byPerson] = await Promise.all(
      [revoked.headers, ending.headers, shortly, headers, person].map(follow)
    )
    if (
      byRevoked === undefined ||
      byEnding === undefined ||
      byShort === undefined ||
      byAdmin === undefined ||
      byPerson === undefined
    ) {
      throw new Error('not all of them follow')
    }
    for (const { stream } of [byRevoked, byEnding, byShort, byAdmin, byPerson]) {
      t.equal(stream.status, 200)
    }

    await app.store.apiKeys.revoke({ name: 'revoked' })
    const revokedAt = performance.now()
    await byRevoked.ended
    t.ok(performance.now() - revokedAt < END_TIMEOUT_MS, 'a revoked key')
    await Promise.all([byEnding.ended, byShort.ended])
    t.ok(
      performance.now() - revokedAt < 2_000 + END_TIMEOUT_MS,
      'an expired key and an expired token'
    )
    for (const { stream } of [byRevoked, byEnding, byShort]) {
      t.notMatch(stream.text, 'event: end', 'the run has not ended')
    }
    t.same(
      [byAdmin.stream.endedAt, byPerson.stream.endedAt],
      [undefined, undefined],
      'other streams continue'
    )

    const users = async () => (await app.inject({ url: '/users', headers })).json().length as number
    const before = await users()
    t.equal((await app.inject({ method: 'DELETE', url: `/users/${id}`, headers })).statusCode, 200)
    const removedAt = performance.now()
    await byPerson.ended
    t.ok(performance.now() - removedAt < END_TIMEOUT_MS, 'a removed user')
    t.equal(await users(), before - 1, 'does not create the user again')
  }
)
