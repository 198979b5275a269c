import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { buildBearerHeader, createApiKey, startIdentityProvider } from '../access/helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase } from '../database.ts'
import {
  Browser,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  answerConsentPage,
  VAULT_KEY,
  SERVICE_URL
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'
import type { TestContext } from '../types.ts'
import { createLogChecker } from './log.ts'

export type ApiAccess = 'public' | 'protected'
const DAY_SECONDS = 86_400

/**
 * The service with a connected user and callers of every kind. The database is a file, so that
 * stored data does not count as memory. Every log line is checked.
 */
export async function startFuzzedService(t: TestContext, access: ApiAccess) {
  const { url } = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
  const idp = await startIdentityProvider(t)
  const log = createLogChecker()
  const database = await ensureDatabase(t, `${createTempFolder(t)}/fuzz.db`)
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      API_ACCESS: access,
      BACKEND_CORS_ORIGINS: '*',
      ALLOW_INSECURE: 'any_origin',
      INTEGRATION_DB_URL: database,
      VAULT_KEYS: VAULT_KEY,
      LOG_LEVEL: 'TRACE',
      ATLASSIAN_HOURLY_POINTS: '100000000',
      ...idp.env,
      ...buildSandboxEnv(url)
    },
    logger: log
  })
  t.teardown(() => app.close())
  const headers: Record<string, string> =
    access === 'public' ? {} : (await createApiKey(app, ['admin'])).headers
  const key = await createApiKey(app, ['admin'])
  const limitedKey = await createApiKey(app, ['users:read'])
  const personToken = await idp.sign({
    sub: 'ada',
    email: 'ada@example.com',
    email_verified: true,
    exp: Math.floor(Date.now() / 1_000) + DAY_SECONDS
  })
  let placeholders = { user: '1', run: '1' }
  let session: Array<Record<string, string>> = []

  /** A busy service can shed load. Preparation retries; the test itself does not. */
  async function injectWithRetry(request: InjectOptions): Promise<LightMyRequestResponse> {
    const answer = await app.inject(request)
    if (answer.statusCode !== 503) return answer
    await new Promise((resolve) =>
      setTimeout(resolve, 1_000 * Number(answer.headers['retry-after'] ?? 1))
    )
    return await injectWithRetry(request)
  }

  async function connect(): Promise<void> {
    const user = (
      await injectWithRetry({
        method: 'POST',
        url: '/users',
        headers,
        payload: { email: 'ada@example.com' }
      })
    ).json().id as number
    for (const product of ['jira', 'confluence']) {
      const login = await injectWithRetry({
        url: `/auth/${product}/login?change_account=true&state=user_id%3D${user}`,
        headers
      })
      const { url } = login.json()
      if (login.statusCode !== 200) {
        throw new Error(`No login for ${user}, but ${login.statusCode} ${login.body}`)
      }
      const browser = new Browser(app)
      await browser.open(await answerConsentPage(await browser.continueLogin(url as string)))
    }
    const [run] = (
      await app.inject({ url: `/integrations/jira/sync/runs?owner_id=${user}&limit=1`, headers })
    ).json() as Array<{ id: number }>
    placeholders = { user: String(user), run: String(run?.id ?? 1) }
    session = await createConnectSession(user)
  }

  /** The person's connect session as a Bearer token and as a cookie. */
  async function createConnectSession(user: number): Promise<Array<Record<string, string>>> {
    const { token, url } = (
      await app.inject({ method: 'POST', url: '/connect-sessions', headers, payload: { user } })
    ).json() as { token: string; url: string }
    const browser = new Browser(app)
    await browser.submit(url, { product: 'jira' })
    return [
      buildBearerHeader(token),
      {
        origin: SERVICE_URL,
        cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      }
    ]
  }

  await connect()
  return {
    app,
    log,
    database,
    /** Credentials with full access. */
    headers,
    /** No credential, a full key, a limited key, a person, and a connect session in both forms. */
    callers: (): Array<Record<string, string>> => [
      {},
      key.headers,
      limitedKey.headers,
      buildBearerHeader(personToken),
      ...session
    ],
    /** Replaces `{user}` and `{run}`. */
    fillPlaceholders: (text: string) =>
      text.replaceAll('{user}', placeholders.user).replaceAll('{run}', placeholders.run),
    /** Restores the user and the connection if requests removed them. */
    async reconnectIfNeeded(): Promise<void> {
      const connections = await injectWithRetry({
        url: `/users/${placeholders.user}/connections`,
        headers
      })
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
