import t, { type Test } from 'tap'
import { Agent } from 'undici'
import { createJwtVerifier } from '../../src/access/jwt.ts'
import { createHttpClient } from '../../src/lib/http-client.ts'
import { buildAppWithSandbox, buildTestApp, waitFor } from '../helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import {
  AUDIENCE,
  buildBearerHeader,
  ISSUER,
  PROTECTED_ENV,
  startIdentityProvider
} from './helper.ts'

const ignore = () => {}
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** A verifier of an identity provider's tokens, whose clock the test moves. */
async function createVerifier(t: Test) {
  const idp = await startIdentityProvider(t)
  const network = new Agent()
  t.teardown(() => network.destroy())
  const clock = { ms: 1_000_000 }
  const http = createHttpClient({
    network,
    responseTimeoutMs: 20_000,
    now: Date.now,
    userAgent: 'test'
  })
  const verify = createJwtVerifier(
    {
      issuer: ISSUER,
      audience: AUDIENCE,
      jwksUrl: idp.env.JWT_JWKS_URL,
      publicKey: null,
      maxLifetimeS: 86_400
    },
    { http, log, monotonicNow: () => clock.ms }
  )
  return { idp, clock, verify }
}

t.test(
  'T08 A token of a key that was published after the last download is answered with 503, then accepted',
  async (t) => {
    const { idp, clock, verify } = await createVerifier(t)
    await verify(await idp.sign({ sub: 'ada' }))
    clock.ms += 60_000
    idp.keys.clear()
    idp.add('second')
    await verify(await idp.sign({ sub: 'ada' }, { kid: 'second' }))
    t.equal(idp.state.requestCount, 2)
    clock.ms += 3_000
    idp.keys.clear()
    idp.add('third')
    const token = await idp.sign({ sub: 'ada' }, { kid: 'third' })
    await t.rejects(verify(token), {
      code: 'identity_provider_unavailable',
      details: { retryAfterS: 7 }
    })
    t.equal(idp.state.requestCount, 2, 'no download during the cooldown')
    clock.ms += 7_000
    t.match(await verify(token), { identity: { subject: 'ada' } })
    t.equal(idp.state.requestCount, 3)
  }
)

t.test('T08 Invented key ids cause one download per cooldown; then they are refused', async (t) => {
  const { idp, clock, verify } = await createVerifier(t)
  const invented = await Promise.all(
    Array.from({ length: 50 }, (_, i) => idp.sign({ sub: 'eve' }, { header: { kid: `no-${i}` } }))
  )
  const outcomes = await Promise.allSettled(invented.map(async (token) => await verify(token)))
  t.ok(outcomes.every(({ status }) => status === 'rejected'))
  t.equal(idp.state.requestCount, 1)
  clock.ms += 10_001
  await t.rejects(verify(invented[0] ?? ''), { code: 'unauthenticated' })
  await t.rejects(verify(invented[1] ?? ''), { code: 'unauthenticated' }, 'at the same time')
  clock.ms += 1
  await t.rejects(verify(invented[2] ?? ''), { code: 'identity_provider_unavailable' })
  t.equal(idp.state.requestCount, 2)
  t.ok(await verify(await idp.sign({ sub: 'ada' })), 'known keys work meanwhile')
})

t.test('A token that is refused anyway causes no download and no 503', async (t) => {
  const { idp, verify } = await createVerifier(t)
  const seconds = Math.floor(Date.now() / 1000)
  for (const claims of [{ exp: seconds - 120 }, { iss: 'https://evil.example/' }]) {
    const token = await idp.sign({ sub: 'ada', ...claims }, { header: { kid: 'old' } })
    await t.rejects(verify(token), { code: 'unauthenticated' })
  }
  t.equal(idp.state.requestCount, 0)
})

t.test(
  'While the provider is down, known keys work and unknown ones are answered with 503',
  async (t) => {
    const { idp, clock, verify } = await createVerifier(t)
    const known = await idp.sign({ sub: 'ada' })
    await verify(known)
    clock.ms += 60_000
    idp.state.isDown = true
    idp.add('second')
    const token = await idp.sign({ sub: 'ada' }, { kid: 'second' })
    for (let i = 0; i < 20; i++) {
      await t.rejects(verify(token), {
        code: 'identity_provider_unavailable',
        details: { retryAfterS: 2 }
      })
    }
    t.equal(idp.state.requestCount, 2, 'one download for many tokens')
    t.ok(await verify(known))
    idp.state.isDown = false
    clock.ms += 2_000
    t.ok(await verify(token), 'accepted as soon as the provider answers')
  }
)

t.test('Keys that the provider removed are refused after ten minutes', async (t) => {
  const { idp, clock, verify } = await createVerifier(t)
  const token = await idp.sign({ sub: 'ada' })
  await verify(token)
  idp.keys.clear()
  idp.add('second')
  clock.ms += 599_000
  t.ok(await verify(token))
  clock.ms += 2_000
  await t.rejects(verify(token), { code: 'unauthenticated' })
})

t.test(
  'T08 A token that was verified before is refused once its key left the key set',
  async (t) => {
    const { idp, clock, verify } = await createVerifier(t)
    const token = await idp.sign({ sub: 'ada' })
    await verify(token)
    t.ok(await verify(token))
    clock.ms += 60_000
    idp.keys.clear()
    idp.add('second')
    t.ok(await verify(token), 'until the keys are downloaded')
    await verify(await idp.sign({ sub: 'ada' }, { kid: 'second' }))
    clock.ms += 60_000
    await t.rejects(verify(token), { code: 'unauthenticated' })
  }
)

t.test('T08 A token that was verified before is refused after it expired', async (t) => {
  const { idp, verify } = await createVerifier(t)
  const token = await idp.sign({ sub: 'ada' })
  await verify(token)
  const startedAt = Date.now()
  t.intercept(Date, 'now', { value: () => startedAt + 329_000 })
  t.ok(await verify(token), 'within the tolerance')
  t.intercept(Date, 'now', { value: () => startedAt + 331_000 })
  await t.rejects(verify(token), { code: 'unauthenticated' })
})

t.test(
  'T08 A token with the claims of one that was verified, and another signature, is refused',
  async (t) => {
    const { idp, verify } = await createVerifier(t)
    const token = await idp.sign({ sub: 'ada' })
    await verify(token)
    const [header = '', claims = '', signature = ''] = token.split('.')
    const forge = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
    const others = [
      [header, claims, forge(signature)],
      [header, claims, '']
    ]
    const [, ...otherParts] = (await idp.sign({ sub: 'eve' })).split('.')
    others.push([header, claims, otherParts[1] ?? ''], [header, otherParts[0] ?? '', signature])
    for (const parts of others) {
      await t.rejects(verify(parts.join('.')), { code: 'unauthenticated' })
    }
    t.ok(await verify(token))
  }
)

t.test('The 503 names its code and a Retry-After; the log names the failed download', async (t) => {
  const idp = await startIdentityProvider(t)
  const { app, lines } = await buildTestApp(t, { ...PROTECTED_ENV, ...idp.env })
  const headers = buildBearerHeader(await idp.sign({ sub: 'ada' }))
  idp.state.isDown = true
  const response = await app.inject({ url: '/users/1', headers })
  t.match(response.json(), { status: 503, code: 'identity_provider_unavailable' })
  t.equal(response.headers['retry-after'], '2')
  t.equal(response.headers['www-authenticate'], undefined)
  t.match(
    lines().filter(({ event }) => event === 'identity_provider_unavailable'),
    [{ level: 'error' }]
  )
})

t.test(
  "Fetches the identity provider's keys once for many tokens; returns 503 while the provider is down",
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildAppWithSandbox(t, {
      env: { ...PROTECTED_ENV, ...idp.env },
      sandbox: SMALL_SANDBOX
    })
    idp.state.isDown = true
    t.match(
      (
        await app.inject({
          url: '/users/1',
          headers: buildBearerHeader(await idp.sign({ sub: 'ada' }))
        })
      ).json(),
      { status: 503, code: 'identity_provider_unavailable' }
    )
    idp.state.isDown = false
    const before = idp.state.requestCount
    const headers = buildBearerHeader(await idp.sign({ sub: 'ada' }))
    // Until the time in Retry-After is over.
    await waitFor(async () => (await app.inject({ url: '/users/1', headers })).statusCode === 200)
    for (let i = 0; i < 20; i++) {
      t.equal(
        (
          await app.inject({
            url: '/users/1',
            headers: buildBearerHeader(await idp.sign({ sub: 'ada' }))
          })
        ).statusCode,
        200
      )
    }
    t.equal(idp.state.requestCount, before + 1)
  }
)
