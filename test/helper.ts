import { randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { buildApp, type AppOptions } from '../src/app.ts'
import type { BackoffLimits } from '../src/lib/backoff.ts'
import { createTestDatabase } from './database.ts'
import { startSandbox, type RunningSandbox } from './sandbox/helper.ts'
import type { SandboxOptions } from '../src/sandbox/state.ts'
import type { TestContext } from './types.ts'

/** Tests make hundreds of requests from one address. */
export const NO_RATE_LIMITS = {
  RATE_LIMIT: '0',
  RATE_LIMIT_LOGIN: '0',
  RATE_LIMIT_REFUSED: '0',
  OVERLOAD_AFTER_MS: '0',
  SYNC_FULL_COOLDOWN: '0',
  MAX_CONNECTIONS_PER_ADDRESS: '0',
  ALLOW_INSECURE: 'no_limits,http_frontend',
  MAX_OPEN_LOGINS: '100000'
}

/**
 * The connector's address in the test browser; the connector answers by `inject` and does not
 * listen.
 */
export const SERVICE_URL = 'http://localhost:3001'
export const FRONTEND_URL = 'http://front.example:3000'
export const PRODUCTS = ['jira', 'confluence'] as const
export type Product = (typeof PRODUCTS)[number]
export const CLIENT_SECRET = 'planted-client-secret-7f3a9c'
export const VAULT_KEY = `test:${randomBytes(32).toString('base64')}`

export interface TestApp {
  app: FastifyInstance
  /** Every line logged so far, parsed. */
  lines: () => Array<Record<string, any>>
  logText: () => string
}

/** The real service on a private in-memory database; keeps its log. */
export async function buildTestApp(
  t: TestContext,
  env: NodeJS.ProcessEnv = {},
  now?: () => number,
  options: Pick<AppOptions, 'providers' | 'upstreamBackoff'> = {}
): Promise<TestApp> {
  const logChunks: string[] = []
  const { url, drop } =
    env.INTEGRATION_DB_URL === undefined
      ? await createTestDatabase()
      : { url: '', drop: async () => {} }
  t.teardown(drop)
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      API_ACCESS: 'public',
      ...NO_RATE_LIMITS,
      // Tests sync what changed a moment ago.
      SYNC_LIST_INTERVAL: '0',
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: VAULT_KEY,
      LOG_LEVEL: 'TRACE',
      ...env
    },
    logger: {
      write: (line) => {
        logChunks.push(line)
      }
    },
    ...(now === undefined ? {} : { now }),
    ...options
  })
  t.teardown(() => app.close())
  return {
    app,
    logText: () => logChunks.join(''),
    lines: () => logChunks.map((line) => JSON.parse(line) as Record<string, any>)
  }
}

/** Settings of two clients registered at the sandbox under `url`. */
export function buildSandboxEnv(url: string): NodeJS.ProcessEnv {
  return {
    ATLASSIAN_AUTH_URL: url,
    ATLASSIAN_API_URL: url,
    APP_FRONTEND_URL: FRONTEND_URL,
    JIRA_OAUTH_CLIENT_ID: 'jira-app',
    JIRA_OAUTH_CLIENT_SECRET: CLIENT_SECRET,
    JIRA_OAUTH_REDIRECT_URI: `${SERVICE_URL}/auth/jira/callback`,
    CONFLUENCE_OAUTH_CLIENT_ID: 'confluence-app',
    CONFLUENCE_OAUTH_CLIENT_SECRET: CLIENT_SECRET,
    CONFLUENCE_OAUTH_REDIRECT_URI: `${SERVICE_URL}/auth/confluence/callback`
  }
}

const createOAuthClient = (product: string, scopes: string[]) => ({
  id: `${product}-app`,
  secret: CLIENT_SECRET,
  name: `${product} connector`,
  access: 'resource' as const,
  scopes,
  redirectUris: (uri: string) => uri.startsWith('http')
})

/** Tests of what follows a failure do not wait seconds for each repeated call. */
const SHORT_BACKOFF: BackoffLimits = { initialMs: 5, maxMs: 40 }

export const OAUTH_CLIENTS = [
  createOAuthClient('jira', ['read:jira-work', 'read:jira-user', 'read:me', 'offline_access']),
  createOAuthClient('confluence', [
    'read:space:confluence',
    'read:page:confluence',
    'search:confluence',
    'read:me',
    'offline_access'
  ])
]

/** The service, configured for a sandbox on localhost. */
export async function buildAppWithSandbox(
  t: TestContext,
  {
    env = {},
    sandbox = {},
    now,
    upstreamBackoff = SHORT_BACKOFF
  }: {
    env?: NodeJS.ProcessEnv
    sandbox?: SandboxOptions
    now?: () => number
    upstreamBackoff?: AppOptions['upstreamBackoff']
  } = {}
): Promise<TestApp & { sandbox: RunningSandbox }> {
  const sandboxServer = await startSandbox(t, {
    clients: OAUTH_CLIENTS,
    ...(now === undefined ? {} : { now }),
    ...sandbox
  })
  return {
    sandbox: sandboxServer,
    ...(await buildTestApp(t, { ...buildSandboxEnv(sandboxServer.url), ...env }, now, {
      upstreamBackoff
    }))
  }
}

/** A browser that keeps cookies, opens pages and gives consent. */
export class Browser {
  readonly app: FastifyInstance
  readonly cookies = new Map<string, string>()

  constructor(app: FastifyInstance) {
    this.app = app
  }

  async open(
    url: string,
    headers: Record<string, string> = {},
    form?: Record<string, string>
  ): Promise<LightMyRequestResponse> {
    const { pathname, search } = new URL(url, SERVICE_URL)
    const request: InjectOptions = {
      method: form === undefined ? 'GET' : 'POST',
      url: pathname + search,
      headers: { host: 'localhost:3001', accept: 'text/html', ...this.cookieHeader(), ...headers },
      ...(form === undefined ? {} : { payload: new URLSearchParams(form).toString() })
    }
    if (form !== undefined) {
      request.headers = {
        ...request.headers,
        'content-type': 'application/x-www-form-urlencoded'
      }
    }
    const response = await this.app.inject(request)
    for (const { name, value, maxAge } of response.cookies) {
      if (maxAge === 0 || value === '') this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  /** Opens a page and sends its first form, with these fields beside the hidden ones. */
  async submit(url: string, fields: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    const page = await this.open(url)
    return await this.send(url, page, fields)
  }

  /** Sends the first form of a page that this browser was served from `url`. */
  async send(
    url: string,
    page: LightMyRequestResponse,
    fields: Record<string, string> = {},
    headers: Record<string, string> = {}
  ): Promise<LightMyRequestResponse> {
    const [, action, body] =
      /<form method="post" action="([^"]*)">(.*?)<\/form>/s.exec(page.body) ?? []
    if (action === undefined) throw new Error(`No form but ${page.statusCode} ${page.body}`)
    const hidden = [...(body ?? '').matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)]
    return await this.open(new URL(action, new URL(url, SERVICE_URL)).href, headers, {
      ...Object.fromEntries(hidden.map(([, name, value]) => [name, value])),
      ...fields
    })
  }

  private cookieHeader(): Record<string, string> {
    return this.cookies.size === 0
      ? {}
      : { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
  }

  /**
   * Follows the URL that a login returned to a person or a connect session, and continues.
   * @returns Atlassian's URL
   */
  async continueLogin(url: string): Promise<string> {
    return url.includes('/connect/continue?')
      ? String((await this.submit(url)).headers.location)
      : url
  }

  /**
   * Opens the login page of a product and answers the consent page.
   * @returns the callback URL
   */
  async consent(
    product: string,
    { query = '', decision = 'accept', extra = '' } = {}
  ): Promise<string> {
    const start = await this.open(`/auth/${product}/login?redirect=true${query}`)
    const location = start.headers.location
    if (location === undefined) {
      throw new Error(`No redirect but ${start.statusCode} ${start.body}`)
    }
    const authorize = await this.continueLogin(location)
    return await answerConsentPage(authorize, decision, extra)
  }

  /**
   * Connects a product from login to callback.
   * @returns the callback's response
   */
  async connect(product: string, query = ''): Promise<LightMyRequestResponse> {
    return await this.open(await this.consent(product, { query }))
  }
}

/**
 * Answers the sandbox's consent page at `authorize`.
 * @returns the redirect target
 */
export async function answerConsentPage(
  authorize: string,
  decision = 'accept',
  extra = ''
): Promise<string> {
  const answer = await fetch(`${authorize}&sandbox_decision=${decision}${extra}`, {
    redirect: 'manual'
  })
  const location = answer.headers.get('location')
  if (location === null) {
    throw new Error(`The sandbox did not redirect: ${answer.status} ${await answer.text()}`)
  }
  return location
}

/** A run of failing calls with their time limits takes 43 s, on any machine. */
const RUN_TIMEOUT_MS = 60_000

/** Waits until the newest run of a product has ended. */
export async function waitForRun(
  app: FastifyInstance,
  product: string,
  id = 1,
  headers: Record<string, string> = {}
): Promise<Record<string, any>> {
  const deadline = performance.now() + RUN_TIMEOUT_MS
  while (performance.now() < deadline) {
    const run = (
      await app.inject({ url: `/integrations/${product}/sync/runs/${id}`, headers })
    ).json() as Record<string, any>
    if (!['queued', 'running', 'parked'].includes(run.state as string)) return run
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('The run did not end')
}

/**
 * Waits until the condition holds.
 * @returns the value of the condition
 */
export async function waitFor<T>(
  probe: () => T | Promise<T>,
  timeoutMs = 60_000
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs
  while (true) {
    const outcome = await probe()
    if (outcome !== undefined && outcome !== false) return outcome as Exclude<T, undefined | false>
    if (performance.now() > deadline) throw new Error('Waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
