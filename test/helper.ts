import { randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { buildApp } from '../src/app.ts'
import { ownDatabase } from './database.ts'
import { startSandbox, type Running } from './sandbox/helper.ts'
import type { SandboxOptions } from '../src/sandbox/state.ts'

/** Hundreds of callers come from one address here. */
export const UNLIMITED = {
  RATE_LIMIT: '0',
  RATE_LIMIT_LOGIN: '0',
  RATE_LIMIT_REFUSED: '0',
  OVERLOAD_AFTER_MS: '0',
  MAX_OPEN_LOGINS: '100000'
}

export interface Test {
  teardown: (fn: () => unknown) => void
}

/** Where the browser of these tests finds the connector, which answers by `inject` and listens nowhere. */
export const OWN = 'http://localhost:3001'
export const FRONT_END = 'http://front.example:3000'
export const SECRET = 'planted-client-secret-7f3a9c'
export const KEY = `test:${randomBytes(32).toString('base64')}`

export interface Built {
  app: FastifyInstance
  /** Every line logged so far, parsed. */
  lines: () => Array<Record<string, any>>
  raw: () => string
}

/** The real service on a database of its own in memory, with its log kept. */
export async function build(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  now?: () => number
): Promise<Built> {
  const written: string[] = []
  const { url, drop } =
    env.INTEGRATION_DB_URL === undefined ? await ownDatabase() : { url: '', drop: async () => {} }
  t.teardown(drop)
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      API_ACCESS: 'public',
      ...UNLIMITED,
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: KEY,
      LOG_LEVEL: 'TRACE',
      ...env
    },
    logger: {
      write: (line) => {
        written.push(line)
      }
    },
    ...(now === undefined ? {} : { now })
  })
  t.teardown(() => app.close())
  return {
    app,
    raw: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, any>)
  }
}

/** Settings of two registered apps at the sandbox under `url`. */
export function configured(url: string): NodeJS.ProcessEnv {
  return {
    ATLASSIAN_AUTH_URL: url,
    ATLASSIAN_API_URL: url,
    APP_FRONTEND_URL: FRONT_END,
    JIRA_OAUTH_CLIENT_ID: 'jira-app',
    JIRA_OAUTH_CLIENT_SECRET: SECRET,
    JIRA_OAUTH_REDIRECT_URI: `${OWN}/auth/jira/callback`,
    CONFLUENCE_OAUTH_CLIENT_ID: 'confluence-app',
    CONFLUENCE_OAUTH_CLIENT_SECRET: SECRET,
    CONFLUENCE_OAUTH_REDIRECT_URI: `${OWN}/auth/confluence/callback`
  }
}

const app = (product: string, scopes: string[]) => ({
  id: `${product}-app`,
  secret: SECRET,
  name: `${product} connector`,
  access: 'resource' as const,
  scopes,
  redirectUris: (uri: string) => uri.startsWith('http')
})

export const CLIENTS = [
  app('jira', ['read:jira-work', 'read:jira-user', 'read:me', 'offline_access']),
  app('confluence', [
    'read:space:confluence',
    'read:page:confluence',
    'search:confluence',
    'read:me',
    'offline_access'
  ])
]

/** The service, set up for a sandbox that listens on this machine. */
export async function connected(
  t: Test,
  {
    env = {},
    sandbox = {},
    now
  }: { env?: NodeJS.ProcessEnv; sandbox?: SandboxOptions; now?: () => number } = {}
): Promise<Built & { sandbox: Running }> {
  const running = await startSandbox(t, {
    clients: CLIENTS,
    ...(now === undefined ? {} : { now }),
    ...sandbox
  })
  return { sandbox: running, ...(await build(t, { ...configured(running.url), ...env }, now)) }
}

/** A browser: keeps cookies, opens pages, and gives consent. */
export class Browser {
  readonly app: FastifyInstance
  readonly cookies = new Map<string, string>()

  constructor(app: FastifyInstance) {
    this.app = app
  }

  async open(url: string, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    const { pathname, search } = new URL(url, OWN)
    const request: InjectOptions = {
      method: 'GET',
      url: pathname + search,
      headers: { host: 'localhost:3001', accept: 'text/html', ...this.cookieHeader(), ...headers }
    }
    const response = await this.app.inject(request)
    for (const { name, value, maxAge } of response.cookies) {
      if (maxAge === 0 || value === '') this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  private cookieHeader(): Record<string, string> {
    return this.cookies.size === 0
      ? {}
      : { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
  }

  /** Opens the login page of a product and answers the consent page. Resolves to the callback's address. */
  async consent(
    product: string,
    { query = '', decision = 'accept', extra = '' } = {}
  ): Promise<string> {
    const start = await this.open(`/auth/${product}/login?redirect=true${query}`)
    const authorize = start.headers.location
    if (authorize === undefined) {
      throw new Error(`No redirect but ${start.statusCode} ${start.body}`)
    }
    return await decide(authorize, decision, extra)
  }

  /** Everything a person does to connect a product. Resolves to the answer of the callback. */
  async connect(product: string, query = ''): Promise<LightMyRequestResponse> {
    return await this.open(await this.consent(product, { query }))
  }
}

/** Answers the sandbox's consent page at `authorize`; resolves to where the browser is sent. */
export async function decide(authorize: string, decision = 'accept', extra = ''): Promise<string> {
  const answer = await fetch(`${authorize}&sandbox_decision=${decision}${extra}`, {
    redirect: 'manual'
  })
  const location = answer.headers.get('location')
  if (location === null) {
    throw new Error(`The sandbox did not redirect: ${answer.status} ${await answer.text()}`)
  }
  return location
}

/** Waits until the newest run of a product has ended. */
export async function synced(
  app: FastifyInstance,
  product: string,
  id = 1,
  headers: Record<string, string> = {}
): Promise<Record<string, any>> {
  for (let i = 0; i < 3_000; i++) {
    const run = (
      await app.inject({ url: `/integrations/${product}/sync/runs/${id}`, headers })
    ).json() as Record<string, any>
    if (!['queued', 'running', 'parked'].includes(run.state as string)) return run
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('The run did not end')
}

/** Waits until something is so. @returns what it came to */
export async function until<T>(
  look: () => T | Promise<T>,
  longestMs: number
): Promise<Exclude<T, undefined | false>> {
  const giveUpAt = performance.now() + longestMs
  while (true) {
    const found = await look()
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>
    if (performance.now() > giveUpAt) throw new Error('Waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
