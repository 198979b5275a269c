import t, { type Test } from 'tap'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import {
  openCallback,
  pickByScale,
  PRODUCTION_ENV,
  startTestService,
  type TestService
} from '../auth/helper.ts'
import { Browser, FRONTEND_URL, SERVICE_URL } from '../helper.ts'
import {
  HARMLESS_REDIRECTS,
  HOSTILE_REDIRECTS,
  LEGITIMATE_REDIRECTS
} from '../fixtures/redirects.ts'
import { FOREIGN_HOSTS, REDIRECTS_BY_KIND } from '../fixtures/redirect-kinds.ts'

const FRONTEND_SETUPS = [
  ['set', FRONTEND_URL, {}],
  ['unset', SERVICE_URL, { APP_FRONTEND_URL: undefined }]
] as const
/**
 * Techniques that are always hostile; targets of the others can stay on the front end as an
 * unusual path.
 */
const TARGETS_BY_KIND = {
  ...REDIRECTS_BY_KIND,
  'the table': HOSTILE_REDIRECTS,
  'odd and legitimate': [...Object.keys(HARMLESS_REDIRECTS), ...Object.keys(LEGITIMATE_REDIRECTS)]
}

function fillPlaceholders(text: string, origin: string): string {
  const { host, hostname } = new URL(origin)
  return text
    .replaceAll('{O}', origin)
    .replaceAll('{H}', host)
    .replaceAll('{N}', hostname)
    .toWellFormed()
}

/** Where a browser goes with this Location; undefined if it stays on the front end. */
function findEscape(location: unknown, origin: string): string | undefined {
  const at = (text: string) => URL.parse(text, `${SERVICE_URL}/auth/jira/callback`)?.origin
  const text = String(location)
  // Also as old browsers read it, which treat every \ as /.
  return at(text) === origin &&
    at(text.replaceAll('\\', '/')) === origin &&
    !/[\s\p{Cc}]/u.test(text)
    ? undefined
    : text
}

/** Every target at heavy counts, otherwise every fifth of each kind. */
const STRIDE = pickByScale(5, 1)

const buildTargets = (origin: string) =>
  Object.entries(TARGETS_BY_KIND).flatMap(([kind, texts]) =>
    texts
      .filter((_, i) => i % STRIDE === 0)
      .map((text) => [kind, fillPlaceholders(text, origin)] as const)
  )

for (const [kind, texts] of Object.entries(REDIRECTS_BY_KIND)) {
  t.ok(new Set(texts).size >= 200, `${kind}: ${new Set(texts).size}`)
}
t.ok(FOREIGN_HOSTS.length > 10)

for (const [front, origin, env] of FRONTEND_SETUPS) {
  t.test(`A5 T27 No return_url at a login leaves the front end ${front}`, async (t) => {
    const running = await startTestService(t, {
      ...PRODUCTION_ENV,
      API_ACCESS: 'public',
      LOG_LEVEL: 'ERROR',
      ...env
    })
    await assertNoEscape(t, origin, async (target) => {
      const answer = await running.app.inject(
        `/auth/jira/login?return_url=${encodeURIComponent(target)}`
      )
      return answer.statusCode === 200
        ? await getFinalLocation(running, answer.json().url as string)
        : answer.statusCode
    })
  })

  t.test(`A5 T27 No return_url of a connect session leaves the front end ${front}`, async (t) => {
    const running = await startTestService(t, {
      ...PRODUCTION_ENV,
      ...PROTECTED_ENV,
      LOG_LEVEL: 'ERROR',
      ...env
    })
    const { headers } = await createApiKey(running.app, ['connections:write', 'users:write'])
    await assertNoEscape(t, origin, async (target) => {
      const answer = await running.app.inject({
        method: 'POST',
        url: '/connect-sessions',
        headers,
        payload: { user: 'ada@example.com', products: ['jira'], return_url: target }
      })
      if (answer.statusCode !== 201) return answer.statusCode
      const { token, url } = answer.json() as { token: string; url: string }
      const browser = new Browser(running.app)
      const opened = await browser.submit(url, { product: 'jira' })
      const away = findEscape(opened.headers.location, running.sandbox.url)
      if (away !== undefined) return away
      const login = await running.app.inject({
        url: '/auth/jira/login',
        headers: { authorization: `Bearer ${token}` }
      })
      const authorize = await browser.continueLogin(login.json().url as string)
      return await getFinalLocation(running, authorize)
    })
  })

  t.test(`A5 T27 No state and no tampered cookie leaves the front end ${front}`, async (t) => {
    const running = await startTestService(t, {
      ...PRODUCTION_ENV,
      API_ACCESS: 'public',
      LOG_LEVEL: 'ERROR',
      ...env
    })
    await assertNoEscape(t, origin, async (state) => {
      const answer = await running.app.inject(`/auth/jira/login?state=${encodeURIComponent(state)}`)
      return answer.statusCode === 200
        ? await getFinalLocation(running, answer.json().url as string)
        : answer.statusCode
    })
    await assertNoEscape(t, origin, async (state) => {
      const forged = await openCallback(
        running,
        `${SERVICE_URL}/auth/jira/callback?code=x&state=${encodeURIComponent(state)}` +
          `&error_description=${encodeURIComponent(state)}`
      )
      return forged.headers.location ?? forged.statusCode
    })
    await assertNoEscape(t, origin, async (error) => {
      const denied = await openCallback(
        running,
        `${SERVICE_URL}/oauth/atlassian/callback?error=${encodeURIComponent(error)}`
      )
      return denied.headers.location ?? denied.statusCode
    })
    const browser = new Browser(running.app)
    await browser.open('/auth/jira/login?redirect=true')
    const [flow = ''] = browser.cookies.keys()
    await assertNoEscape(t, origin, async (value) => {
      const cookie = encodeURIComponent(value)
      const back = await openCallback(running, `${SERVICE_URL}/auth/jira/callback?code=x&state=y`, {
        cookie:
          `${flow}=${cookie}; return_url=${cookie}; connect-session=${cookie}; ` +
          `__Host-connect-session=${cookie}; ${cookie}`
      })
      return back.headers.location ?? back.statusCode
    })
    await assertNoEscape(t, origin, async (token) => {
      const opened = await running.app.inject(`/connect?token=${encodeURIComponent(token)}`)
      return opened.headers.location ?? opened.statusCode
    })
  })
}

/** The final location after this consent. */
async function getFinalLocation(running: TestService, authorize: string): Promise<string> {
  const state = new URL(authorize).searchParams.get('state') ?? ''
  return String(
    (
      await openCallback(
        running,
        `${SERVICE_URL}/auth/jira/callback?error=access_denied&state=${state}`
      )
    ).headers.location
  )
}

/** Tries every entry; `where` resolves to a Location, or to the status of a refusal. */
async function assertNoEscape(
  t: Test,
  origin: string,
  getLocation: (entry: string) => Promise<string | number>
): Promise<void> {
  const [escaped, failed]: [string[], string[]] = [[], []]
  const all = buildTargets(origin)
  let acceptedCount = 0
  for (let i = 0; i < all.length; i += 50) {
    await Promise.all(
      all.slice(i, i + 50).map(async ([kind, entry]) => {
        const arrived = await getLocation(entry)
        if (typeof arrived === 'number') {
          if (arrived < 400 || arrived > 499) {
            failed.push(`${kind}: ${JSON.stringify(entry)}: ${arrived}`)
          }
          return
        }
        acceptedCount++
        const away = findEscape(arrived, origin)
        if (away !== undefined) escaped.push(`${kind}: ${JSON.stringify(entry)} → ${away}`)
      })
    )
  }
  t.same(
    escaped,
    [],
    `none of ${all.length} (${acceptedCount} were accepted and stayed on the front end)`
  )
  t.same(failed, [], 'each of the others was rejected as a client error')
}
