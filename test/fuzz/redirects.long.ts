import t, { type Test } from 'tap'
import { keyed, PROTECTED } from '../access/helper.ts'
import { finish, PRODUCTION, service, type Service } from '../auth/helper.ts'
import { Browser, FRONT_END, OWN } from '../helper.ts'
import { HARMLESS, HOSTILE, LEGITIMATE } from '../fixtures/redirects.ts'
import { ELSEWHERE, KINDS } from '../fixtures/redirect-kinds.ts'

const SETUPS = [
  ['set', FRONT_END, {}],
  ['unset', OWN, { APP_FRONTEND_URL: undefined }]
] as const
/** What can only be meant to lead elsewhere or to be misread; the others may stay at home as an odd path. */
const ALL = {
  ...KINDS,
  'the table': HOSTILE,
  'odd and legitimate': [...Object.keys(HARMLESS), ...Object.keys(LEGITIMATE)]
}

function filled(text: string, origin: string): string {
  const { host, hostname } = new URL(origin)
  return text
    .replaceAll('{O}', origin)
    .replaceAll('{H}', host)
    .replaceAll('{N}', hostname)
    .toWellFormed()
}

/** Where a browser goes that gets this Location on a page of this service; undefined where that is home. */
function escape(location: unknown, origin: string): string | undefined {
  const at = (text: string) => URL.parse(text, `${OWN}/auth/jira/callback`)?.origin
  const text = String(location)
  // Also as an old browser reads it, for which \ is / everywhere.
  return at(text) === origin &&
    at(text.replaceAll('\\', '/')) === origin &&
    !/[\s\p{Cc}]/u.test(text)
    ? undefined
    : text
}

const entries = (origin: string) =>
  Object.entries(ALL).flatMap(([kind, texts]) =>
    texts.map((text) => [kind, filled(text, origin)] as const)
  )

for (const [kind, texts] of Object.entries(KINDS)) {
  t.ok(new Set(texts).size >= 200, `${kind}: ${new Set(texts).size}`)
}
t.ok(ELSEWHERE.length > 10)

for (const [front, origin, env] of SETUPS) {
  t.test(`A5 T27 No return_url at a login leads away, with the front end ${front}`, async (t) => {
    const running = await service(t, {
      ...PRODUCTION,
      API_ACCESS: 'public',
      LOG_LEVEL: 'ERROR',
      ...env
    })
    await judged(t, origin, async (target) => {
      const answer = await running.app.inject(
        `/auth/jira/login?return_url=${encodeURIComponent(target)}`
      )
      return answer.statusCode === 200
        ? await ended(running, answer.json().url as string)
        : answer.statusCode
    })
  })

  t.test(
    `A5 T27 No return_url of a connect session leads away, with the front end ${front}`,
    async (t) => {
      const running = await service(t, { ...PRODUCTION, ...PROTECTED, LOG_LEVEL: 'ERROR', ...env })
      const { headers } = await keyed(running.app, ['connections:write'])
      await judged(t, origin, async (target) => {
        const answer = await running.app.inject({
          method: 'POST',
          url: '/connect-sessions',
          headers,
          payload: { user: 'ada@example.com', products: ['jira'], return_url: target }
        })
        if (answer.statusCode !== 201) return answer.statusCode
        const { token, url } = answer.json() as { token: string; url: string }
        const opened = await new Browser(running.app).open(url)
        const away = escape(opened.headers.location, OWN)
        if (away !== undefined) return away
        const login = await running.app.inject({
          url: '/auth/jira/login',
          headers: { authorization: `Bearer ${token}` }
        })
        return await ended(running, login.json().url as string)
      })
    }
  )

  t.test(
    `A5 T27 No state and no tampered cookie leads away, with the front end ${front}`,
    async (t) => {
      const running = await service(t, {
        ...PRODUCTION,
        API_ACCESS: 'public',
        LOG_LEVEL: 'ERROR',
        ...env
      })
      await judged(t, origin, async (state) => {
        const answer = await running.app.inject(
          `/auth/jira/login?state=${encodeURIComponent(state)}`
        )
        return answer.statusCode === 200
          ? await ended(running, answer.json().url as string)
          : answer.statusCode
      })
      await judged(t, origin, async (state) => {
        const forged = await finish(
          running,
          `${OWN}/auth/jira/callback?code=x&state=${encodeURIComponent(state)}&error_description=${encodeURIComponent(state)}`
        )
        return forged.headers.location ?? forged.statusCode
      })
      await judged(t, origin, async (error) => {
        const denied = await finish(
          running,
          `${OWN}/oauth/atlassian/callback?error=${encodeURIComponent(error)}`
        )
        return denied.headers.location ?? denied.statusCode
      })
      const browser = new Browser(running.app)
      await browser.open('/auth/jira/login?redirect=true')
      const [flow = ''] = browser.cookies.keys()
      await judged(t, origin, async (value) => {
        const cookie = encodeURIComponent(value)
        const back = await finish(running, `${OWN}/auth/jira/callback?code=x&state=y`, {
          cookie: `${flow}=${cookie}; return_url=${cookie}; connect-session=${cookie}; __Host-connect-session=${cookie}; ${cookie}`
        })
        return back.headers.location ?? back.statusCode
      })
      await judged(t, origin, async (token) => {
        const opened = await running.app.inject(`/connect?token=${encodeURIComponent(token)}`)
        return opened.headers.location ?? opened.statusCode
      })
    }
  )
}

/** Where the browser ends that comes back from this consent. */
async function ended(running: Service, authorize: string): Promise<string> {
  const state = new URL(authorize).searchParams.get('state') ?? ''
  return String(
    (await finish(running, `${OWN}/auth/jira/callback?error=access_denied&state=${state}`)).headers
      .location
  )
}

/** Tries every entry; `where` resolves to a Location, or to the status of a refusal. */
async function judged(
  t: Test,
  origin: string,
  where: (entry: string) => Promise<string | number>
): Promise<void> {
  const [escaped, failed]: [string[], string[]] = [[], []]
  const all = entries(origin)
  let taken = 0
  for (let i = 0; i < all.length; i += 50) {
    await Promise.all(
      all.slice(i, i + 50).map(async ([kind, entry]) => {
        const arrived = await where(entry)
        if (typeof arrived === 'number') {
          if (arrived < 400 || arrived > 499) {
            failed.push(`${kind}: ${JSON.stringify(entry)}: ${arrived}`)
          }
          return
        }
        taken++
        const away = escape(arrived, origin)
        if (away !== undefined) escaped.push(`${kind}: ${JSON.stringify(entry)} → ${away}`)
      })
    )
  }
  t.same(escaped, [], `none of ${all.length} (${taken} were taken, and stayed at home)`)
  t.same(failed, [], 'and each of the others was refused as a mistake of the caller')
}
