import t from 'tap'
import { returnTarget, withOutcome } from '../../src/http/return-url.ts'
import { Browser, decide, FRONT_END, OWN } from '../helper.ts'
import { chance, jumble, seed } from '../fixtures/prng.ts'
import { HARMLESS, HOSTILE, LEGITIMATE, PIECES } from '../fixtures/redirects.ts'
import {
  edited,
  finish,
  login,
  many,
  PRODUCTION,
  REQUEST_ID,
  service,
  type Service
} from './helper.ts'

const SETUPS = [
  ['set', FRONT_END, {}],
  ['unset', OWN, { APP_FRONTEND_URL: undefined }]
] as const
const FAILED = `provider=jira&status=error&error=access_denied&message=Consent%20was%20not%20given.&request_id=${REQUEST_ID}`

function filled(text: string, origin: string): string {
  const { host, hostname } = new URL(origin)
  return text.replaceAll('{O}', origin).replaceAll('{H}', host).replaceAll('{N}', hostname)
}

/** Where a login with this target ends; undefined where the login is refused for it. */
async function ends(running: Service, target: string): Promise<string | undefined> {
  const answer = await running.app.inject(
    `/auth/jira/login?return_url=${encodeURIComponent(target)}`
  )
  if (answer.statusCode === 422) return undefined
  if (answer.statusCode !== 200) {
    throw new Error(`${answer.statusCode} for ${JSON.stringify(target)}`)
  }
  const state = new URL(answer.json().url as string).searchParams.get('state') ?? ''
  const back = await finish(running, `${OWN}/auth/jira/callback?error=access_denied&state=${state}`)
  return String(back.headers.location)
}

t.ok(
  HOSTILE.length + Object.keys(HARMLESS).length >= 170 && Object.keys(LEGITIMATE).length >= 9,
  `${HOSTILE.length} hostile, ${Object.keys(HARMLESS).length} odd, ${Object.keys(LEGITIMATE).length} legitimate targets`
)
t.equal(new Set(HOSTILE).size, HOSTILE.length, 'each hostile one once')

for (const [front, origin, env] of SETUPS) {
  t.test(`A5: with the front end ${front}`, async (t) => {
    const running = await service(t, { ...PRODUCTION, LOG_LEVEL: 'WARN', ...env })

    t.test(`A5 T27 no hostile return_url is taken, with the front end ${front}`, async (t) => {
      const taken: Array<[string, string]> = []
      for (const entry of HOSTILE) {
        const location = await ends(running, filled(entry, origin))
        if (location !== undefined) taken.push([entry, location])
      }
      t.same(taken, [])
    })

    t.test(
      `A5: a refusal names the parameter and not the target, with the front end ${front}`,
      async (t) => {
        const answer = await running.app.inject('/auth/jira/login?return_url=http://evil.example/')
        t.match(answer.json(), {
          status: 422,
          code: 'validation_failed',
          errors: [{ pointer: '/return_url' }]
        })
        t.notOk(answer.body.includes('evil'))
        t.equal(answer.headers['set-cookie'], undefined)
      }
    )

    t.test(
      `A5: an odd or legitimate return_url arrives at home, with the front end ${front}`,
      async (t) => {
        const entries = Object.entries({ ...HARMLESS, ...LEGITIMATE })
        const arrived: Record<string, string | undefined> = {}
        for (const [entry] of entries) arrived[entry] = await ends(running, filled(entry, origin))
        t.strictSame(
          arrived,
          Object.fromEntries(
            entries.map(([entry, arrives]) => [entry, added(filled(arrives, origin), FAILED)])
          )
        )
        t.same(
          Object.values(arrived).filter((location) => URL.parse(location ?? '')?.origin !== origin),
          []
        )
      }
    )

    t.test(
      `A5: a return_url keeps its own parameters after a success too, with the front end ${front}`,
      async (t) => {
        const start = await login(running, 'jira', {
          return_url: '/settings?tab=1&status=forged&user_id=7&st%61te=x#here',
          state: 'mine'
        })
        const { headers } = await finish(running, await decide(start.json().url as string))
        t.equal(
          headers.location,
          `${origin}/settings?tab=1&status=success&user_id=1&state=mine#here`
        )
      }
    )

    t.test(
      `A5 T27 whatever the caller's state says, the login ends at home, with the front end ${front}`,
      async (t) => {
        const odd: Array<[string, unknown]> = []
        for (const entry of [...HOSTILE, ...Object.keys(HARMLESS)].map((entry) =>
          filled(entry, origin)
        )) {
          const answer = await running.app.inject(
            `/auth/jira/login?state=${encodeURIComponent(entry)}`
          )
          if (answer.statusCode !== 200) {
            if (answer.statusCode !== 422 || (entry.length <= 512 && !entry.includes('\0'))) {
              odd.push([entry, answer.statusCode])
            }
            continue
          }
          const state = new URL(answer.json().url as string).searchParams.get('state') ?? ''
          const known = await finish(
            running,
            `${OWN}/auth/jira/callback?error=access_denied&state=${state}`
          )
          const forged = await finish(
            running,
            `${OWN}/auth/jira/callback?code=x&state=${encodeURIComponent(entry)}`
          )
          for (const {
            headers: { location }
          } of [known, forged]) {
            if (location?.startsWith(`${origin}/oauth/jira?provider=jira&status=error&`) !== true) {
              odd.push([entry, location])
            }
          }
        }
        t.same(odd, [])
      }
    )

    t.test(
      `A5: tampered cookies change nothing about where a login ends, with the front end ${front}`,
      async (t) => {
        for (const entry of HOSTILE.slice(0, 60).map((entry) =>
          encodeURIComponent(filled(entry, origin))
        )) {
          const browser = new Browser(running.app)
          const callback = await browser.consent('jira')
          for (const name of browser.cookies.keys()) browser.cookies.set(name, entry)
          browser.cookies.set('return_url', entry)
          const { headers, statusCode } = await browser.open(callback)
          t.equal(statusCode, 302)
          t.ok(
            headers.location?.startsWith(
              `${origin}/oauth/jira?provider=jira&status=error&error=wrong_browser&`
            )
          )
        }
      }
    )

    t.test(`A5: generated targets do not lead away, with the front end ${front}`, async (t) => {
      const sown = seed()
      t.comment(`SEED=${sown}`)
      const random = chance(sown)
      const escaped: string[] = []
      for (let i = 0; i < many(200, 5_000); i++) {
        const target = filled(
          `${random() < 0.5 ? '/' : ''}${jumble(random, PIECES, 6)}`,
          origin
        ).toWellFormed()
        const location = await ends(running, target)
        if (
          location !== undefined &&
          URL.parse(location, 'http://elsewhere.example')?.origin !== origin
        ) {
          escaped.push(target)
        }
      }
      t.same(escaped, [])
    })
  })
}

t.test(
  `A5 T27 none of ${many(2_000, 100_000)} generated strings makes a target outside the front end`,
  async (t) => {
    const sown = seed()
    t.comment(`SEED=${sown}`)
    const random = chance(sown)
    const escaped: string[] = []
    let taken = 0
    for (let i = 0; i < many(2_000, 100_000); i++) {
      const origin = i % 2 === 0 ? FRONT_END : 'https://app.example'
      const target = filled(`${['', '/', '{O}'][i % 3]}${jumble(random, PIECES, 10)}`, origin)
      const result = returnTarget(target, `${origin}/some/path`)
      if (result === undefined) continue
      taken++
      const location = withOutcome(result, { status: 'success', state: 'a#b?c' })
      // However it is read: as it is, against another site, or as the path that is left without its origin.
      const readings = [
        location,
        new URL(location, 'http://elsewhere.example').href,
        new URL(location.slice(origin.length), origin).href
      ]
      if (
        readings.some((reading) => URL.parse(reading)?.origin !== origin) ||
        /[\s\\\p{Cc}]/u.test(location)
      ) {
        escaped.push(target)
      }
    }
    t.same(escaped, [])
    t.ok(taken > many(100, 5_000), `${taken} were taken, so the rest of the test saw something`)
  }
)

t.test('A5: a path below the front end does not make its neighbours home', async (t) => {
  const running = await service(t, { ...PRODUCTION, APP_FRONTEND_URL: `${FRONT_END}/app` })
  t.equal(await ends(running, '/app/settings'), `${FRONT_END}/app/settings?${FAILED}`)
  t.equal(
    (await finish(running, `${OWN}/auth/jira/callback?error=access_denied`)).headers.location,
    `${FRONT_END}/app/oauth/jira?${FAILED}`
  )
})

t.test('A5: bytes that are no text do not make an error of ours', async (t) => {
  const running = await service(t, PRODUCTION)
  for (const raw of [
    '%ED%A0%80',
    '/%ED%A0%80',
    '%C0%AF%C0%AFevil.example',
    '/%C0%AFevil.example',
    '%FF',
    '/%FF',
    '%',
    '%E0%A4%A',
    '/%u002f',
    '//%E3%80%82'
  ]) {
    const answer = await running.app.inject(`/auth/jira/login?return_url=${raw}&state=${raw}`)
    t.ok([200, 422].includes(answer.statusCode), `${raw}: ${answer.statusCode}`)
    if (answer.statusCode !== 200) continue
    const state = new URL(answer.json().url as string).searchParams.get('state') ?? ''
    const location = String(
      (
        await finish(
          running,
          edited(`${OWN}/auth/jira/callback`, (query) => {
            query.set('error', 'access_denied')
            query.set('state', state)
          })
        )
      ).headers.location
    )
    t.equal(URL.parse(location)?.origin, FRONT_END, raw)
  }
})

/** The outcome goes behind the parameters that are there and before the fragment. */
function added(address: string, outcome: string): string {
  const [rest = '', ...fragment] = address.split('#')
  return `${rest}${rest.includes('?') ? '&' : '?'}${outcome}${fragment.length === 0 ? '' : `#${fragment.join('#')}`}`
}
