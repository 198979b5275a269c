import { createServer, request, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  Browser,
  build,
  CLIENTS,
  configured,
  KEY,
  synced,
  until as soon,
  type Test
} from '../helper.ts'
import { query, startServer, type Server } from '../postgres/server.ts'
import { start, type Started } from '../process/child.ts'
import { startSandbox, type Running } from '../sandbox/helper.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'

const LONGEST_MS = 60_000
const UNLIMITED = { burst: 1_000_000_000, hourlyPoints: 1_000_000_000, logKept: 1_000_000 }

/** A PostgreSQL server for the tests of one file. */
export async function database(t: Test): Promise<Server> {
  const server = await startServer()
  t.teardown(() => server.remove())
  return server
}

/** One database on it, a sandbox, and as many instances of the real service as a test wants. */
export interface Place {
  url: string
  sandbox: Running
  serve: (env?: NodeJS.ProcessEnv) => Promise<Started>
  several: (count: number, env?: NodeJS.ProcessEnv) => Promise<Started[]>
  /** Reads or writes rows behind the service's back. */
  sql: (text: string, values?: unknown[]) => Promise<any[]>
}

export async function place(
  t: Test,
  server: Server,
  {
    sandbox: options = {},
    env = {},
    url
  }: { sandbox?: SandboxOptions; env?: NodeJS.ProcessEnv; url?: string } = {}
): Promise<Place> {
  const database = url ?? (await server.createDatabase())
  const sandbox = await startSandbox(t, { clients: CLIENTS, ...UNLIMITED, ...options })
  const settings = {
    ...configured(sandbox.url),
    ATLASSIAN_HOURLY_POINTS: '100000000',
    APP_ENV: 'production',
    HOST: '127.0.0.1',
    VAULT_KEYS: KEY,
    INTEGRATION_DB_URL: database,
    SYNC_INTERVAL: '0',
    ...env
  }
  const serve = async (more: NodeJS.ProcessEnv = {}) =>
    await start(t, { env: { ...settings, ...more } })
  return {
    url: database,
    sandbox,
    serve,
    several: async (count, more) =>
      await Promise.all(Array.from({ length: count }, async () => await serve(more))),
    sql: async (text, values) => await query(database, text, values)
  }
}

/** Connects a product of the first user, with a service that is gone afterwards. */
export async function connect(
  t: Test,
  { url, sandbox }: Place,
  product: string,
  until: (app: Awaited<ReturnType<typeof build>>['app']) => Promise<unknown> = async (app) =>
    await synced(app, product)
): Promise<void> {
  const { app } = await build(t, {
    ...configured(sandbox.url),
    ATLASSIAN_HOURLY_POINTS: '100000000',
    INTEGRATION_DB_URL: url,
    SYNC_INTERVAL: '0'
  })
  await new Browser(app).connect(product)
  await until(app)
  await app.close()
}

export async function get(
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

export async function post(
  url: string,
  path: string,
  body?: object
): Promise<{ status: number; body: any; headers: Headers }> {
  return await get(url, path, {
    method: 'POST',
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  })
}

/** Sends each request to the next instance, as a load balancer without sticky sessions does. */
export async function balance(
  t: Test,
  targets: Array<Pick<Started, 'url'>> = []
): Promise<{ url: string; targets: Array<Pick<Started, 'url'>> }> {
  let next = 0
  const server: HttpServer = createServer((incoming, outgoing) => {
    const target = new URL(targets[next++ % targets.length]?.url ?? '')
    const onward = request(
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
    onward.on('error', () => {
      outgoing.writeHead(502).end()
    })
    incoming.pipe(onward)
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

export async function until<T>(
  look: () => Promise<T>,
  longestMs = LONGEST_MS
): Promise<Exclude<T, undefined | false>> {
  return await soon(look, longestMs)
}
