import { createHmac } from 'node:crypto'
import t from 'tap'
import {
  Browser,
  buildAppWithSandbox,
  buildTestApp,
  answerConsentPage,
  waitForRun
} from '../helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import {
  AUDIENCE,
  buildBearerHeader,
  ISSUER,
  createApiKey,
  PROTECTED_ENV,
  startIdentityProvider
} from './helper.ts'

const encodeSegment = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test(
  'The first request with an identity provider token creates a user, who reaches only their own data',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildAppWithSandbox(t, {
      env: { ...PROTECTED_ENV, ...idp.env },
      sandbox: SMALL_SANDBOX
    })
    const admin = await createApiKey(app, ['admin'])
    await app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'first@example.com' },
      headers: admin.headers
    })
    const ada = buildBearerHeader(
      await idp.sign({ sub: 'ada', email: 'ada@example.com', email_verified: true, name: 'Ada' })
    )
    const eve = buildBearerHeader(
      await idp.sign({ sub: 'eve', email: 'ada@example.com', email_verified: false })
    )

    const { url } = (
      await app.inject({ url: '/auth/jira/login?state=user_id%3D1', headers: ada })
    ).json()
    const browser = new Browser(app)
    const callbackResponse = await browser.open(
      await answerConsentPage(await browser.continueLogin(url as string))
    )
    t.match(
      callbackResponse.headers.location,
      /status=success&user_id=2&state=user_id%3D1/,
      'connects the authenticated user and ignores the hint in the state'
    )
    await waitForRun(app, 'jira', 1, ada)
    const [{ id: run }] = (
      await app.inject({ url: '/integrations/jira/sync/runs', headers: ada })
    ).json()
    t.match((await app.inject({ url: '/users/2', headers: ada })).json(), {
      id: 2,
      email: 'ada@example.com',
      display_name: 'Ada'
    })
    t.match(
      (await app.inject({ url: '/integrations/jira/projects/fetch', headers: ada })).json(),
      { items: [{ owner_id: 2 }] },
      'lists no items of the first user'
    )
    t.match(
      (
        await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers: ada })
      ).json(),
      { connected: true, redirect_url: /user_id%3D2/ }
    )
    t.equal(
      (
        await app.inject({
          method: 'POST',
          url: '/integrations/jira/connect',
          headers: ada,
          payload: { email: 'x@example.com' }
        })
      ).statusCode,
      403
    )

    t.match((await app.inject({ url: '/users/2/connections', headers: eve })).json(), {
      status: 404,
      code: 'user_not_found'
    })
    t.match(
      (await app.inject({ url: '/users/3', headers: eve })).json(),
      { email: /^oauth-user-.*@example\.local$/ },
      'an unverified email address matches no user'
    )
    const missingResponse = (
      await app.inject({ url: '/users/99/connections', headers: admin.headers })
    ).json()
    const foreignResponse = (await app.inject({ url: '/users/2/connections', headers: eve })).json()
    t.same(
      { ...foreignResponse, request_id: '' },
      { ...missingResponse, request_id: '' },
      "C7 another user's resource is answered like a missing one"
    )
    for (const [method, path] of [
      ['GET', `/integrations/jira/sync/runs/${run as number}`],
      ['GET', `/integrations/jira/sync/runs/${run as number}/events`],
      ['DELETE', `/integrations/jira/sync/runs/${run as number}`]
    ] as const) {
      t.match(
        (await app.inject({ method, url: path, headers: eve })).json(),
        { code: 'run_not_found' },
        `${method} ${path}`
      )
    }
    t.match((await app.inject({ url: '/users', headers: ada })).json(), {
      status: 403,
      code: 'forbidden'
    })
    t.equal(
      (
        await app.inject({
          url: '/users/2/connections',
          headers: buildBearerHeader(await idp.sign({ sub: 'ada' }))
        })
      ).statusCode,
      200,
      'the same user with another token'
    )
  }
)

t.test(
  'A verified email address links only the first identity that has it to the user created with it',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildAppWithSandbox(t, {
      env: { ...PROTECTED_ENV, ...idp.env },
      sandbox: SMALL_SANDBOX
    })
    const admin = await createApiKey(app, ['admin'])
    const { id } = (
      await app.inject({
        method: 'POST',
        url: '/users',
        payload: { email: 'ada@example.com' },
        headers: admin.headers
      })
    ).json()
    const verified = { email: 'ADA@example.com', email_verified: true }
    t.equal(
      (
        await app.inject({
          url: `/users/${id as number}`,
          headers: buildBearerHeader(await idp.sign({ sub: 'one', ...verified }))
        })
      ).statusCode,
      200
    )
    t.equal(
      (
        await app.inject({
          url: `/users/${id as number}`,
          headers: buildBearerHeader(await idp.sign({ sub: 'two', ...verified }))
        })
      ).statusCode,
      404
    )
  }
)

t.test('T08 Rejects forged, expired and foreign tokens with the same response', async (t) => {
  const idp = await startIdentityProvider(t)
  idp.add('rsa', 'RS256')
  const { app, logText } = await buildAppWithSandbox(t, {
    env: { ...PROTECTED_ENV, ...idp.env },
    sandbox: SMALL_SANDBOX
  })
  const validToken = await idp.sign({ sub: 'ada' })
  const [head = '', body = '', signature = ''] = validToken.split('.')
  const seconds = Math.floor(Date.now() / 1000)
  const publicPem = idp.keys.get('rsa')?.publicKey.export({ type: 'spki', format: 'pem' }) as string
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: seconds, exp: seconds + 300 }
  const hmacSigningInput = `${encodeSegment({ alg: 'HS256', kid: 'rsa' })}.${encodeSegment(claims)}`
  const hmacSignature = createHmac('sha256', publicPem).update(hmacSigningInput).digest('base64url')
  const forged: Record<string, string> = {
    none: `${encodeSegment({ alg: 'none' })}.${encodeSegment(claims)}.`,
    'none, in capitals': `${encodeSegment({ alg: 'NONE' })}.${encodeSegment(claims)}.x`,
    'none with a valid signature': `${encodeSegment({ alg: 'none', kid: 'first' })}.${body}.${signature}`,
    'a shared secret that is the public key': `${hmacSigningInput}.${hmacSignature}`,
    'another signature': `${head}.${body}.${'A'.repeat(86)}`,
    'no signature': `${head}.${body}.`,
    'another body': `${head}.${encodeSegment({ ...claims, sub: 'eve' })}.${signature}`,
    'an unknown critical extension': await idp
      .sign({ sub: 'ada' }, { header: { crit: ['exp'] } })
      .catch(
        () =>
          `${encodeSegment({ alg: 'ES256', kid: 'first', crit: ['x'], x: 1 })}.${body}.${signature}`
      ),
    expired: await idp.sign({ sub: 'ada', exp: seconds - 120 }),
    'not valid yet': await idp.sign({ sub: 'ada', nbf: seconds + 600 }),
    'without an expiry': await idp.sign({ sub: 'ada' }, { omit: ['exp'] }),
    'for another audience': await idp.sign({ sub: 'ada', aud: 'other' }),
    'from another issuer': await idp.sign({ sub: 'ada', iss: 'https://evil.example/' }),
    'without a subject': await idp.sign({}),
    'with an empty subject': await idp.sign({ sub: '' }),
    'with a subject that is too long': await idp.sign({ sub: 'a'.repeat(300) }),
    'far too long': 'e'.repeat(20_000),
    'two tokens': `${validToken}, Bearer ${validToken}`,
    empty: ''
  }
  /** Refused after a download of the keys, so each of them meets a service that has none yet. */
  const withUnknownKey: Record<string, string> = {
    'an unknown key': await idp.sign({ sub: 'ada' }, { header: { kid: 'nobody' } }),
    'a key id that is a path': await idp.sign(
      { sub: 'ada' },
      { header: { kid: '../../../../dev/null' } }
    ),
    'a key in its header': await idp.sign(
      { sub: 'ada' },
      { header: { kid: 'x', jwk: { kty: 'oct', k: 'AA' } } }
    ),
    'a key URL in its header': await idp.sign(
      { sub: 'ada' },
      { header: { kid: 'x', jku: 'http://127.0.0.1:1/' } }
    )
  }
  const details = new Set<string>()
  for (const [title, token] of Object.entries({ ...forged, ...withUnknownKey })) {
    const service =
      title in withUnknownKey ? (await buildTestApp(t, { ...PROTECTED_ENV, ...idp.env })).app : app
    const answer = await service.inject({ url: '/users/1', headers: buildBearerHeader(token) })
    t.equal(answer.statusCode, 401, title)
    t.equal(answer.headers['www-authenticate'], 'Bearer', title)
    details.add(answer.json().detail as string)
    if (token.length > 20) t.notOk(logText().includes(token), `${title} is in no log line`)
  }
  t.equal(details.size, 1)
  t.equal(
    (await app.inject({ url: '/users/1', headers: buildBearerHeader(validToken) })).statusCode,
    200
  )
  t.equal(
    (
      await app.inject({
        url: '/users/1',
        headers: buildBearerHeader(await idp.sign({ sub: 'ada' }, { kid: 'rsa' }))
      })
    ).statusCode,
    200
  )
})

for (const kind of ['RS256', 'ES256', 'EdDSA'] as const) {
  t.test(`Verifies tokens with one static ${kind} key and no JWKS address`, async (t) => {
    const idp = await startIdentityProvider(t)
    idp.add('own', kind)
    const pem = idp.keys.get('own')?.publicKey.export({ type: 'spki', format: 'pem' }) as string
    const { app } = await buildAppWithSandbox(t, {
      env: {
        ...PROTECTED_ENV,
        JWT_ISSUER: ISSUER,
        JWT_AUDIENCE: AUDIENCE,
        JWT_PUBLIC_KEY: pem.replaceAll('\n', '\\n')
      },
      sandbox: SMALL_SANDBOX
    })
    t.equal(
      (
        await app.inject({
          url: '/users/1',
          headers: buildBearerHeader(await idp.sign({ sub: 'ada' }, { kid: 'own' }))
        })
      ).statusCode,
      200
    )
    t.equal(
      (
        await app.inject({
          url: '/users/1',
          headers: buildBearerHeader(await idp.sign({ sub: 'ada' }))
        })
      ).statusCode,
      401
    )
    t.equal(idp.state.requestCount, 0)
  })
}
