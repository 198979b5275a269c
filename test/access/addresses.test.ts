import t from 'tap'
import { createSecret } from '../../src/access/secrets.ts'
import { buildTestApp } from '../helper.ts'
import { buildBearerHeader, createApiKey, PROTECTED_ENV, startIdentityProvider } from './helper.ts'

t.test(
  'T24 Only a key that can create users learns whether an address is known; others create and learn nothing',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildTestApp(t, { APP_ENV: 'production', ...PROTECTED_ENV, ...idp.env })
    const backEnd = await createApiKey(app, ['users:write', 'users:read', 'connections:write'])
    const create = async (email: string, headers: object) =>
      await app.inject({
        method: 'POST',
        url: '/users',
        headers: { ...headers, 'x-request-id': 'same' },
        payload: { email }
      })
    const { id } = (await create('known@example.com', backEnd.headers)).json()
    const person = buildBearerHeader(await idp.sign({ sub: 'eve' }))
    await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers: person })
    const { token } = (
      await app.inject({
        method: 'POST',
        url: '/connect-sessions',
        headers: backEnd.headers,
        payload: { user: id }
      })
    ).json()
    const people = (await app.inject({ url: '/users', headers: backEnd.headers })).body

    for (const [who, headers, status] of [
      ['nobody', {}, 401],
      ['a key that nobody has', buildBearerHeader(createSecret('jcck')), 401],
      [
        'a key for something else',
        (await createApiKey(app, ['users:read', 'connections:write', 'data:write'])).headers,
        403
      ],
      ['a person', person, 403],
      ['a connect session', buildBearerHeader(token as string), 403]
    ] as const) {
      for (const email of ['known@example.com', 'KNOWN@example.com']) {
        const [knownUser, unknown] = [
          await create(email, headers),
          await create('unknown@example.com', headers)
        ]
        t.equal(knownUser.statusCode, status, who)
        t.same(
          [knownUser.statusCode, knownUser.body],
          [unknown.statusCode, unknown.body],
          `${who}: the same response`
        )
        t.same(
          { ...knownUser.headers, date: '' },
          { ...unknown.headers, date: '' },
          `${who}: the same headers`
        )
      }
    }
    t.equal((await app.inject({ url: '/users', headers: backEnd.headers })).body, people)
  }
)

t.test('T24 An unverified address in a token does not reveal the user it belongs to', async (t) => {
  const idp = await startIdentityProvider(t)
  const { app } = await buildTestApp(t, { APP_ENV: 'production', ...PROTECTED_ENV, ...idp.env })
  const { headers } = await createApiKey(app, ['admin'])
  const { id } = (
    await app.inject({
      method: 'POST',
      url: '/users',
      headers,
      payload: { email: 'known@example.com' }
    })
  ).json()
  const seen = async (sub: string, email: string) => {
    const own = buildBearerHeader(await idp.sign({ sub, email, email_verified: false }))
    const { redirect_url: login } = (
      await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers: own })
    ).json()
    const [, user = ''] = /(\d+)$/.exec(login as string) ?? []
    const { email: storedEmail } = (
      await app.inject({ url: `/users/${user}`, headers: own })
    ).json()
    return {
      user: Number(user),
      shown: (storedEmail as string).replace(/[\da-f]{8}-[\da-f-]{27}/, '…')
    }
  }
  const [knownUser, unknown] = [
    await seen('eve', 'known@example.com'),
    await seen('mallory', 'unknown@example.com')
  ]
  t.not(knownUser.user, id)
  t.equal(knownUser.shown, unknown.shown)
})
