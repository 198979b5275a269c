import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, OAUTH_CLIENTS, buildSandboxEnv, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { startSandbox, type RunningSandbox } from '../sandbox/helper.ts'
import type { TestContext } from '../types.ts'
import { signConnections } from '../signatures.ts'

const ALLOWED_PATH = new RegExp(
  '^/(oauth/token|oauth/token/accessible-resources|me|' +
    String.raw`ex/(jira|confluence)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/(rest|wiki)/[\w/-]+)$`,
  'i'
)
export const SITE_URL = 'https://acme.atlassian.net'
export const SITES_PATH = '/oauth/token/accessible-resources'
export const SCOPES = {
  jira: ['read:jira-work'],
  confluence: ['read:page:confluence', 'read:space:confluence']
}
export type Product = keyof typeof SCOPES

interface NetworkFixture {
  app: FastifyInstance
  sandbox: RunningSandbox
  query: <T>(sql: string, ...values: unknown[]) => Promise<T[]>
  /** Signs the connections after a test has changed them. */
  signConnections: () => Promise<void>
  /** A server that the service must never call. */
  foreignUrl: string
  advanceTime: (ms: number) => void
  /** Returns forbidden calls of the service since the last call of this function. */
  takeViolations: () => string[]
  /** Requested paths since the last call of `takeViolations`. */
  listPaths: () => string[]
}

/** A service whose network records every connection and request, and allows only the sandbox. */
export async function createNetworkFixture(t: TestContext): Promise<NetworkFixture> {
  const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const hits: string[] = []
  const other = createServer((request, response) => {
    hits.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`)
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => {
    other.closeAllConnections()
    other.close()
  })
  const foreignUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}`

  const connections: string[] = []
  let calls: Array<{ origin: string; path: string; bearer: boolean }> = []
  const connect = buildConnector({})
  const agent = new Agent({
    connect: (options, callback) => {
      connections.push(`${options.protocol}//${options.hostname}:${options.port}`)
      if (connections.at(-1) === sandbox.url) connect(options, callback)
      else callback(new Error('A foreign host'), null)
    }
  })
  t.teardown(() => agent.close())
  const network: Dispatcher = agent.compose((dispatch) => (options, handler) => {
    calls.push({
      origin: String(options.origin),
      path: options.path,
      bearer: /authorization/i.test(JSON.stringify(options.headers))
    })
    return dispatch(options, handler)
  })
  let ahead = 0
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      SYNC_FULL_COOLDOWN: '0',
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: VAULT_KEY,
      ...buildSandboxEnv(sandbox.url)
    },
    network,
    now: () => Date.now() + ahead
  })
  t.teardown(() => app.close())
  return {
    app,
    sandbox,
    signConnections: async () => {
      await signConnections(url)
    },
    query: async (sql, ...values) => await queryDatabase(url, sql, ...values),
    foreignUrl,
    advanceTime: (ms) => {
      ahead += ms
    },
    listPaths: () => calls.map(({ path }) => path),
    takeViolations: () => {
      const wrong = [
        ...connections
          .filter((origin) => origin !== sandbox.url)
          .map((origin) => `connected to ${origin}`),
        ...hits.map((hit) => `reached a foreign server: ${hit}`),
        ...calls
          .filter(
            ({ origin, path }) =>
              origin !== sandbox.url || !ALLOWED_PATH.test(path.replace(/\?[^#]*$/, ''))
          )
          .map(
            ({ origin, path, bearer }) => `asked ${origin}${path}${bearer ? ' with a token' : ''}`
          )
      ]
      for (const list of [connections, hits]) list.length = 0
      calls = []
      return wrong
    }
  }
}

export async function fakeResponse(
  { sandbox }: NetworkFixture,
  path: string,
  body: unknown,
  times = 100
): Promise<void> {
  await sandbox.admin('faults', { kind: 'status', status: 200, body, match: { path }, times })
}

/** Logs in a new person and returns the id of their new user. */
export async function connectPerson(
  { app }: NetworkFixture,
  product: Product,
  name: string
): Promise<number> {
  const { headers } = await new Browser(app).connect(
    product,
    `&state=email%3D${name}%40example.com`
  )
  const user = Number(/status=success.*user_id=(\d+)/.exec(headers.location ?? '')?.[1])
  if (!(user > 0)) throw new Error(`The login failed: ${headers.location}`)
  return user
}

/** Runs a sync, which can fail. */
export async function runSync(
  { app }: NetworkFixture,
  product: Product,
  user: number,
  mode = ''
): Promise<Record<string, any>> {
  let run = (
    await app.inject({
      method: 'POST',
      url: `/integrations/${product}/sync?owner_id=${user}${mode}`
    })
  ).json() as Record<string, any>
  for (let i = 0; run.finished_at === null && i < 3_000; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    run = (await app.inject(`/integrations/${product}/sync/runs/${run.id}`)).json() as Record<
      string,
      any
    >
  }
  return run
}

/** Every URL in a user's connection and copies that is not plain http(s). */
export async function findUnsafeUrls(
  { app }: NetworkFixture,
  product: Product,
  user: number
): Promise<string[]> {
  const { connections } = (await app.inject(`/users/${user}/connections`)).json() as {
    connections: Array<Record<string, any>>
  }
  const items = (
    await app.inject(product === 'jira' ? `/jira/projects/${user}` : `/confluence/pages/${user}`)
  ).json() as Array<{ url: string | null }>
  const shownUrls = [...connections.flatMap(({ site, sites }) => [site, ...sites]), ...items]
    .map((each) => each?.url)
    .filter((url) => typeof url === 'string')
  return shownUrls.filter((url) => {
    const { protocol, username, password } = URL.parse(url) ?? {}
    return !/^https?:$/.test(protocol ?? '') || username !== '' || password !== ''
  })
}
