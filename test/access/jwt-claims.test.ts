import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { buildBearerHeader, PROTECTED_ENV, startIdentityProvider } from './helper.ts'

const DAY_S = 86_400

t.test(
  'T08 Accepts only tokens that are made to be presented here, and not for long',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildTestApp(t, { ...PROTECTED_ENV, ...idp.env })
    const seconds = Math.floor(Date.now() / 1000)
    const statusOf = async (token: Promise<string>, scheme = 'Bearer') =>
      (
        await app.inject({
          url: '/users/1',
          headers: { authorization: `${scheme} ${await token}` }
        })
      ).statusCode
    const sub = 'ada'

    for (const typ of ['JWT', 'jwt', 'at+jwt', 'application/at+JWT', undefined]) {
      const header = typ === undefined ? {} : { typ }
      t.equal(await statusOf(idp.sign({ sub }, { header })), 200, `typ ${typ}`)
    }
    for (const typ of ['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'JOSE', '', 'jwt ']) {
      t.equal(await statusOf(idp.sign({ sub }, { header: { typ } })), 401, `typ ${typ}`)
    }

    const bindings = { jkt: { jkt: 'a' }, certificate: { 'x5t#S256': 'a' }, empty: {}, null: null }
    for (const [title, cnf] of Object.entries(bindings)) {
      t.equal(await statusOf(idp.sign({ sub, cnf })), 401, `bound to a key of the caller: ${title}`)
    }
    t.equal(await statusOf(idp.sign({ sub, cnf: { jkt: 'a' } }), 'DPoP'), 401, 'the scheme DPoP')

    t.equal(await statusOf(idp.sign({ sub, exp: seconds + DAY_S - 10 })), 200, 'for a day')
    t.equal(await statusOf(idp.sign({ sub, exp: seconds + DAY_S + 60 })), 401, 'for longer')
    t.equal(await statusOf(idp.sign({ sub, exp: seconds + 300, iat: seconds - DAY_S })), 401)
    t.equal(
      await statusOf(idp.sign({ sub, exp: seconds + DAY_S + 60 }, { omit: ['iat'] })),
      401,
      'for longer, without the time of its issue'
    )
    t.equal(await statusOf(idp.sign({ sub }, { omit: ['iat'] })), 200, 'without that time')
    t.equal(await statusOf(idp.sign({ sub, iat: seconds + 600 })), 401, 'issued in the future')
  }
)

t.test('T08 Text in a token that no engine can store ends with 401, or is left out', async (t) => {
  const idp = await startIdentityProvider(t)
  const { app } = await buildTestApp(t, {
    ...PROTECTED_ENV,
    ...idp.env,
    JWT_MAX_LIFETIME_S: '600'
  })
  const ask = async (claims: Record<string, unknown>) =>
    await app.inject({ url: '/users/1', headers: buildBearerHeader(await idp.sign(claims)) })
  for (const text of ['a\0b', 'a\ud800']) {
    t.equal((await ask({ sub: text })).statusCode, 401)
    t.match((await ask({ sub: 'ada', name: text })).json(), { display_name: null })
  }
  const exp = Math.floor(Date.now() / 1000) + 900
  t.equal((await ask({ sub: 'ada', exp })).statusCode, 401, 'the configured lifetime')
})
