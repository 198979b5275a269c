import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { bearer, keyed, provider } from '../access/helper.ts'
import { SMALL } from '../auth/helper.ts'
import { databaseAt } from '../database.ts'
import { Browser, CLIENTS, configured, decide, KEY, OWN, type Test } from '../helper.ts'
import { folder } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { createLogReader } from './log.ts'

export type Access = 'public' | 'protected'
const DAY_S = 86_400

/** The service with a connected user and callers of every kind, its database in a file so that what is stored does not count as memory, every log line read. */
export async function fuzzed(t: Test, access: Access) {
  const { url } = await startSandbox(t, { clients: CLIENTS, ...SMALL })
  const idp = await provider(t)
  const log = createLogReader()
  const database = await databaseAt(t, `${folder(t)}/fuzz.db`)
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      API_ACCESS: access,
      INTEGRATION_DB_URL: database,
      VAULT_KEYS: KEY,
      LOG_LEVEL: 'TRACE',
      ATLASSIAN_HOURLY_POINTS: '100000000',
      ...idp.env,
      ...configured(url)
    },
    logger: log
  })
  t.teardown(() => app.close())
  const headers: Record<string, string> =
    access === 'public' ? {} : (await keyed(app, ['admin'])).headers
  const key = await keyed(app, ['admin'])
  const narrow = await keyed(app, ['users:read'])
  const person = await idp.sign({
    sub: 'ada',
    email: 'ada@example.com',
    email_verified: true,
    exp: Math.floor(Date.now() / 1_000) + DAY_S
  })
  let places = { user: '1', run: '1' }
  let session: Array<Record<string, string>> = []

  /** On a busy machine the service may refuse for a while; what is prepared for the test asks again, the test itself does not. */
  async function whenItCan(request: InjectOptions): Promise<LightMyRequestResponse> {
    const answer = await app.inject(request)
    if (answer.statusCode !== 503) return answer
    await new Promise((resolve) =>
      setTimeout(resolve, 1_000 * Number(answer.headers['retry-after'] ?? 1))
    )
    return await whenItCan(request)
  }

  async function connect(): Promise<void> {
    const user = (
      await whenItCan({
        method: 'POST',
        url: '/users',
        headers,
        payload: { email: 'ada@example.com' }
      })
    ).json().id as number
    for (const product of ['jira', 'confluence']) {
      const login = await whenItCan({
        url: `/auth/${product}/login?change_account=true&state=user_id%3D${user}`,
        headers
      })
      const { url } = login.json()
      if (login.statusCode !== 200) {
        throw new Error(`No login for ${user}, but ${login.statusCode} ${login.body}`)
      }
      const { pathname, search } = new URL(await decide(url as string))
      await app.inject(pathname + search)
    }
    const [run] = (
      await app.inject({ url: `/integrations/jira/sync/runs?owner_id=${user}&limit=1`, headers })
    ).json() as Array<{ id: number }>
    places = { user: String(user), run: String(run?.id ?? 1) }
    session = await invite(user)
  }

  /** The person's connect session, as a program and as a browser show it. */
  async function invite(user: number): Promise<Array<Record<string, string>>> {
    const { token, url } = (
      await app.inject({ method: 'POST', url: '/connect-sessions', headers, payload: { user } })
    ).json() as { token: string; url: string }
    const browser = new Browser(app)
    await browser.open(url)
    return [
      bearer(token),
      {
        origin: OWN,
        cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      }
    ]
  }

  await connect()
  return {
    app,
    log,
    database,
    /** What lets a caller in. */
    headers,
    /** Nobody, a key that may do all, one that may do little, a person, and a connect session in both its forms. */
    callers: (): Array<Record<string, string>> => [
      {},
      key.headers,
      narrow.headers,
      bearer(person),
      ...session
    ],
    /** What stands in the place of `{user}` and `{run}`. */
    filled: (text: string) =>
      text.replaceAll('{user}', places.user).replaceAll('{run}', places.run),
    /** Makes good what the requests have destroyed. */
    async renew(): Promise<void> {
      const connections = await whenItCan({ url: `/users/${places.user}/connections`, headers })
      const states =
        connections.statusCode === 200
          ? (connections.json().connections as Array<{ state: string }>)
          : []
      if (states.length < 2 || states.some(({ state }) => state === 'needs_reconnect')) {
        await connect()
      }
    }
  }
}
