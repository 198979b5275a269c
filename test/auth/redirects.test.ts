import t from 'tap'
import { validateReturnUrl, appendOutcome } from '../../src/http/return-url.ts'
import { Browser, answerConsentPage, FRONTEND_URL, SERVICE_URL } from '../helper.ts'
import { createRandom, joinRandomPieces, chooseSeed } from '../fixtures/prng.ts'
import {
  HARMLESS_REDIRECTS,
  HOSTILE_REDIRECTS,
  LEGITIMATE_REDIRECTS,
  REDIRECT_PIECES
} from '../fixtures/redirects.ts'
import {
  editUrl,
  openCallback,
  requestLogin,
  pickByScale,
  PRODUCTION_ENV,
  TEST_REQUEST_ID,
  startTestService,
  type TestService
} from './helper.ts'

const FRONTEND_SETUPS = [
  ['set', FRONTEND_URL, {}],
  ['unset', SERVICE_URL, { APP_FRONTEND_URL: undefined }]
] as const
const FAILURE_QUERY =
  'provider=jira&status=error&error=access_denied&message=Consent%20was%20not%20given.' +
  `&request_id=${TEST_REQUEST_ID}`

function fillPlaceholders(text: string, origin: string): string {
  const { host, hostname } = new URL(origin)
  return text.replaceAll('{O}', origin).replaceAll('{H}', host).replaceAll('{N}', hostname)
}

/** Where a login with this target ends; undefined if the login is refused. */
async function getFinalLocation(running: TestService, target: string): Promise<string | undefined> {
  const answer = await running.app.inject(
    `/auth/jira/login?return_url=${encodeURIComponent(target)}`
  )
  if (answer.statusCode === 422) return undefined
  if (answer.statusCode !== 200) {
    throw new Error(`${answer.statusCode} for ${JSON.stringify(target)}`)
  }
  const state = new URL(answer.json().url as string).searchParams.get('state') ?? ''
  const back = await openCallback(
    running,
    `${SERVICE_URL}/auth/jira/callback?error=access_denied&state=${state}`
  )
  return String(back.headers.location)
}

t.ok(
  HOSTILE_REDIRECTS.length + Object.keys(HARMLESS_REDIRECTS).length >= 170 &&
    Object.keys(LEGITIMATE_REDIRECTS).length >= 9,
  `${HOSTILE_REDIRECTS.length} hostile, ${Object.keys(HARMLESS_REDIRECTS).length} odd, ` +
    `${Object.keys(LEGITIMATE_REDIRECTS).length} legitimate targets`
)
t.equal(
  new Set(HOSTILE_REDIRECTS).size,
  HOSTILE_REDIRECTS.length,
  'no duplicates among the hostile ones'
)

for (const [front, origin, env] of FRONTEND_SETUPS) {
  t.test(`A5: with the front end ${front}`, async (t) => {
    const running = await startTestService(t, { ...PRODUCTION_ENV, LOG_LEVEL: 'WARN', ...env })

    t.test(`A5 T27 uses no hostile return_url, with the front end ${front}`, async (t) => {
      const accepted: Array<[string, string]> = []
      for (const entry of HOSTILE_REDIRECTS) {
        const location = await getFinalLocation(running, fillPlaceholders(entry, origin))
        // Without a front end it is ignored.
        const isIgnored = front === 'unset' && location === `${origin}/oauth/jira?${FAILURE_QUERY}`
        if (location !== undefined && !isIgnored) accepted.push([entry, location])
      }
      t.same(accepted, [])
    })

    t.test(
      `A5: a refusal names the parameter and not the target, with the front end ${front}`,
      async (t) => {
        const answer = await running.app.inject('/auth/jira/login?return_url=http://evil.example/')
        t.notOk(answer.body.includes('evil'))
        if (front === 'unset') {
          t.equal(answer.statusCode, 200, 'ignored')
          return
        }
        t.match(answer.json(), {
          status: 422,
          code: 'validation_failed',
          errors: [{ pointer: '/return_url' }]
        })
        t.equal(answer.headers['set-cookie'], undefined)
      }
    )

    t.test(
      `A5: an odd or legitimate return_url stays on the front end, with the front end ${front}`,
      async (t) => {
        const entries = Object.entries({ ...HARMLESS_REDIRECTS, ...LEGITIMATE_REDIRECTS })
        const arrived: Record<string, string | undefined> = {}
        for (const [entry] of entries) {
          arrived[entry] = await getFinalLocation(running, fillPlaceholders(entry, origin))
        }
        t.strictSame(
          arrived,
          Object.fromEntries(
            entries.map(([entry, arrives]) => [
              entry,
              addOutcome(fillPlaceholders(arrives, origin), FAILURE_QUERY)
            ])
          )
        )
        t.same(
          Object.values(arrived).filter((location) => URL.parse(location ?? '')?.origin !== origin),
          []
        )
      }
    )

    t.test(
      `A5: a return_url keeps its own parameters after a success, with the front end ${front}`,
      async (t) => {
        const start = await requestLogin(running, 'jira', {
          return_url: '/settings?tab=1&status=forged&user_id=7&st%61te=x#here',
          state: 'mine'
        })
        const { headers } = await openCallback(
          running,
          await answerConsentPage(start.json().url as string)
        )
        t.equal(
          headers.location,
          `${origin}/settings?tab=1&status=success&user_id=1&state=mine&connection_state=active#here`
        )
      }
    )

    t.test(
      `A5 T27 the login ends on the front end whatever the caller's state says, with the front end ${front}`,
      async (t) => {
        const odd: Array<[string, unknown]> = []
        for (const entry of [...HOSTILE_REDIRECTS, ...Object.keys(HARMLESS_REDIRECTS)].map(
          (entry) => fillPlaceholders(entry, origin)
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
          const issued = await openCallback(
            running,
            `${SERVICE_URL}/auth/jira/callback?error=access_denied&state=${state}`
          )
          const forged = await openCallback(
            running,
            `${SERVICE_URL}/auth/jira/callback?code=x&state=${encodeURIComponent(entry)}`
          )
          for (const {
            headers: { location }
          } of [issued, forged]) {
            if (location?.startsWith(`${origin}/oauth/jira?provider=jira&status=error&`) !== true) {
              odd.push([entry, location])
            }
          }
        }
        t.same(odd, [])
      }
    )

    t.test(
      `A5: tampered cookies do not change where a login ends, with the front end ${front}`,
      async (t) => {
        for (const entry of HOSTILE_REDIRECTS.slice(0, 60).map((entry) =>
          encodeURIComponent(fillPlaceholders(entry, origin))
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

    t.test(
      `A5: generated targets do not leave the front end, with the front end ${front}`,
      async (t) => {
        const randomSeed = chooseSeed()
        t.comment(`SEED=${randomSeed}`)
        const random = createRandom(randomSeed)
        const escaped: string[] = []
        for (let i = 0; i < pickByScale(200, 5_000); i++) {
          const target = fillPlaceholders(
            `${random() < 0.5 ? '/' : ''}${joinRandomPieces(random, REDIRECT_PIECES, 6)}`,
            origin
          ).toWellFormed()
          const location = await getFinalLocation(running, target)
          if (
            location !== undefined &&
            URL.parse(location, 'http://elsewhere.example')?.origin !== origin
          ) {
            escaped.push(target)
          }
        }
        t.same(escaped, [])
      }
    )
  })
}

t.test(
  `A5 T27 none of ${pickByScale(2_000, 100_000)} generated strings makes a target outside the front end`,
  async (t) => {
    const randomSeed = chooseSeed()
    t.comment(`SEED=${randomSeed}`)
    const random = createRandom(randomSeed)
    const escaped: string[] = []
    let acceptedCount = 0
    for (let i = 0; i < pickByScale(2_000, 100_000); i++) {
      const origin = i % 2 === 0 ? FRONTEND_URL : 'https://app.example'
      const target = fillPlaceholders(
        `${['', '/', '{O}'][i % 3]}${joinRandomPieces(random, REDIRECT_PIECES, 10)}`,
        origin
      )
      const result = validateReturnUrl(target, `${origin}/some/path`)
      if (result === undefined) continue
      acceptedCount++
      const location = appendOutcome(result, { status: 'success', state: 'a#b?c' })
      // Resolved as it is, against another site, and as a path without its origin.
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
    t.ok(
      acceptedCount > pickByScale(100, 5_000),
      `${acceptedCount} were accepted, so the other assertions are not empty`
    )
  }
)

t.test('A5: with a front end below a path, sibling paths are rejected', async (t) => {
  const running = await startTestService(t, {
    ...PRODUCTION_ENV,
    APP_FRONTEND_URL: `${FRONTEND_URL}/app`
  })
  t.equal(
    await getFinalLocation(running, '/app/settings'),
    `${FRONTEND_URL}/app/settings?${FAILURE_QUERY}`
  )
  t.equal(
    (await openCallback(running, `${SERVICE_URL}/auth/jira/callback?error=access_denied`)).headers
      .location,
    `${FRONTEND_URL}/app/oauth/jira?${FAILURE_QUERY}`
  )
})

t.test('A5: invalid UTF-8 causes no server error', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
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
        await openCallback(
          running,
          editUrl(`${SERVICE_URL}/auth/jira/callback`, (query) => {
            query.set('error', 'access_denied')
            query.set('state', state)
          })
        )
      ).headers.location
    )
    t.equal(URL.parse(location)?.origin, FRONTEND_URL, raw)
  }
})

/** Adds the outcome after existing parameters and before the fragment. */
function addOutcome(address: string, outcome: string): string {
  const [rest = '', ...fragment] = address.split('#')
  return (
    `${rest}${rest.includes('?') ? '&' : '?'}${outcome}` +
    `${fragment.length === 0 ? '' : `#${fragment.join('#')}`}`
  )
}
