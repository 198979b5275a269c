import { createServer, request, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  VAULT_KEY,
  waitForRun
} from '../helper.ts'
import { queryPostgres, startPostgresServer, type PostgresServer } from '../postgres/server.ts'
import { startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { startSandbox, type RunningSandbox } from '../sandbox/helper.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import type { TestContext } from '../types.ts'

const UNLIMITED_SANDBOX = {
  burst: 1_000_000_000,
  hourlyPoints: 1_000_000_000,
  maxLogEntries: 1_000_000
}

/** A PostgreSQL server for the tests of one file. */
export async function startDatabaseServer(t: TestContext): Promise<PostgresServer> {
  const server = await startPostgresServer()
  t.teardown(() => server.remove())
  return server
}

/** A database on the server, a sandbox, and any number of instances of the real service. */
export interface ClusterFixture {
  url: string
  sandbox: RunningSandbox
  /** @param main the program, if it is not this version's source */
  startService: (env?: NodeJS.ProcessEnv, main?: string) => Promise<ServiceProcess>
  startServices: (count: number, env?: NodeJS.ProcessEnv) => Promise<ServiceProcess[]>
  /** Reads or writes rows directly, without the service. */
  query: (text: string, values?: unknown[]) => Promise<any[]>
}

export async function createClusterFixture(
  t: TestContext,
  server: PostgresServer,
  {
    sandbox: options = {},
    env = {},
    url
  }: { sandbox?: SandboxOptions; env?: NodeJS.ProcessEnv; url?: string } = {}
): Promise<ClusterFixture> {
  const database = url ?? (await server.createDatabase())
  const sandbox = await startSandbox(t, {
    clients: OAUTH_CLIENTS,
    ...UNLIMITED_SANDBOX,
    ...options
  })
  const settings = {
    ...buildSandboxEnv(sandbox.url),
    ATLASSIAN_HOURLY_POINTS: '100000000',
    APP_ENV: 'production',
    HOST: '127.0.0.1',
    VAULT_KEYS: VAULT_KEY,
    INTEGRATION_DB_URL: database,
    SYNC_INTERVAL: '0',
    ...env
  }
  const startService = async (extraEnv: NodeJS.ProcessEnv = {}, main?: string) =>
    await startServiceProcess(t, {
      env: { ...settings, ...extraEnv },
      ...(main === undefined ? {} : { main })
    })
  return {
    url: database,
    sandbox,
    startService,
    startServices: async (count, more) =>
      await Promise.all(Array.from({ length: count }, async () => await startService(more))),
    query: async (text, values) => await queryPostgres(database, text, values)
  }
}

/** Connects a product of the first user through a temporary service. */
export async function connect(
  t: TestContext,
  { url, sandbox }: ClusterFixture,
  product: string,
  waitUntilReady: (
    app: Awaited<ReturnType<typeof buildTestApp>>['app']
  ) => Promise<unknown> = async (app) => await waitForRun(app, product)
): Promise<void> {
  const { app } = await buildTestApp(t, {
    ...buildSandboxEnv(sandbox.url),
    ATLASSIAN_HOURLY_POINTS: '100000000',
    INTEGRATION_DB_URL: url,
    SYNC_INTERVAL: '0'
  })
  await new Browser(app).connect(product)
  await waitUntilReady(app)
  await app.close()
}

export async function getJson(
  url: string,
  path: string,
  init: RequestInit = {}
): Promise<{ status: number; body: any; headers: Headers }> {
  const answer = await fetch(url + path, init)
  const text = await answer.text()
  return {
    status: answer.status,
    headers: answer.headers,
    body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text
  }
}

export async function postJson(
  url: string,
  path: string,
  body?: object
): Promise<{ status: number; body: any; headers: Headers }> {
  return await getJson(url, path, {
    method: 'POST',
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  })
}

/** Round-robin load balancer without sticky sessions. */
export async function startLoadBalancer(
  t: TestContext,
  targets: Array<Pick<ServiceProcess, 'url'>> = []
): Promise<{ url: string; targets: Array<Pick<ServiceProcess, 'url'>> }> {
  let next = 0
  const server: HttpServer = createServer((incoming, outgoing) => {
    const target = new URL(targets[next++ % targets.length]?.url ?? '')
    const upstream = request(
      {
        host: target.hostname,
        port: target.port,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      }
    )
    upstream.on('error', () => {
      outgoing.writeHead(502).end()
    })
    incoming.pipe(upstream)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, targets }
}
