import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { queryDatabase } from '../database.ts'
import { waitFor } from '../helper.ts'
import { findFreePort } from '../network.ts'
import { startPostgresServer } from '../postgres/server.ts'
import { dumpInserts, listTables } from './dump.ts'
import {
  FIXTURE_FOLDER,
  FIXTURE_KEY,
  listMigrations,
  readMigrationHashes,
  writeFixture,
  type EngineName,
  type FixtureFacts
} from './fixture.ts'

/**
 * `npm run fixtures:upgrade` writes the fixture of this version on both engines: it starts the service
 * with a sandbox, lets two people use it, and stores the rows. `--source FOLDER` runs the code of another
 * checkout instead, `--output FOLDER` writes elsewhere, `--engine NAME` writes one of them.
 */
const { values: options } = parseArgs({
  options: {
    source: { type: 'string', default: fileURLToPath(new URL('../../', import.meta.url)) },
    output: { type: 'string', default: FIXTURE_FOLDER },
    engine: { type: 'string', multiple: true, default: ['sqlite', 'postgres'] },
    commit: { type: 'string' }
  }
})
const { source, output } = options
const FIRST_SYNC_TIMEOUT_MS = 120_000
const SIZES = ['--projects', '2', '--issues', '3', '--spaces', '2', '--pages', '4']
/** Both products share one OAuth client, so each consent covers both. */
const SCOPES =
  'read:jira-work read:jira-user read:space:confluence read:page:confluence search:confluence ' +
  'read:me offline_access'
/** Tables that this history of two people fills, in the versions that have them. */
const FILLED_TABLES = [
  ...[
    'users',
    'grants',
    'connections',
    'flows',
    'runs',
    'projects',
    'pages',
    'vault_keys',
    'history'
  ],
  ...['checkpoints', 'feeds', 'issues', 'spaces', 'api_keys', 'audit', 'audit_head', 'sessions']
]
const JSON_HEADERS = { 'content-type': 'application/json' }
const workFolder = mkdtempSync(join(tmpdir(), 'connector-fixture-'))

try {
  for (const engine of options.engine as EngineName[]) {
    if (!existsSync(join(source, 'drizzle', engine, 'migrations'))) continue
    const version = listMigrations(engine, source).at(-1) as string
    mkdirSync(join(output, engine), { recursive: true })
    const path = join(output, engine, `${version}.sql`)
    if (engine === 'sqlite') {
      await makeFixture(engine, `sqlite:///${workFolder}/fixture.db`, path)
    } else {
      const server = await startPostgresServer()
      try {
        await makeFixture(engine, await server.createDatabase(), path)
      } finally {
        await server.remove()
      }
    }
    console.log(path)
  }
} finally {
  rmSync(workFolder, { recursive: true, force: true })
}

async function makeFixture(engine: EngineName, url: string, path: string): Promise<void> {
  const [sandboxPort, port] = [await findFreePort(), await findFreePort()]
  const atlassian = `http://127.0.0.1:${sandboxPort}`
  const service = `http://localhost:${port}`
  const sandbox = startProgram(['sandbox', '--port', String(sandboxPort), ...SIZES], {})
  const env = {
    PORT: String(port),
    INTEGRATION_DB_URL: url,
    VAULT_KEYS: FIXTURE_KEY,
    ATLASSIAN_AUTH_URL: atlassian,
    ATLASSIAN_API_URL: atlassian,
    SYNC_LIST_INTERVAL: '0',
    SYNC_INTERVAL: '0',
    ...Object.fromEntries(
      ['jira', 'confluence'].flatMap((product) =>
        Object.entries({
          CLIENT_ID: 'sandbox-client',
          CLIENT_SECRET: 'sandbox-secret',
          REDIRECT_URI: `${service}/auth/${product}/callback`,
          SCOPES
        }).map(([name, value]) => [`${product.toUpperCase()}_OAUTH_${name}`, value])
      )
    )
  }
  const program = startProgram([], env)
  try {
    await waitFor(async () => (await fetch(`${service}/healthz`).catch(() => undefined))?.ok)
    await waitFor(async () => (await fetch(`${atlassian}/admin/state`).catch(() => undefined))?.ok)
    const feed = await useService(service, atlassian, url)
    const tables = await listTables(engine, url)
    if (tables.includes('api_keys')) {
      const key = ['--name', 'back-end', '--scopes', 'users:read']
      await startProgram(['api-keys', 'create', ...key], env).exited
    }
    await program.stop()
    const facts: FixtureFacts = {
      commit: options.commit ?? readCommit(),
      at: Date.now(),
      migrations: await readMigrationHashes(url),
      feed
    }
    const statements = await dumpInserts(engine, url)
    const empty = tables
      .filter((table) => FILLED_TABLES.includes(table))
      .filter((table) => !statements.some((text) => text.startsWith(`insert into "${table}"`)))
    if (empty.length > 0) throw new Error(`These tables have no rows: ${empty.join(', ')}`)
    writeFixture(path, facts, statements)
  } catch (error) {
    throw new Error(`${program.output()}\n${sandbox.output()}`, { cause: error })
  } finally {
    await Promise.all([program.stop(), sandbox.stop()])
  }
}

/**
 * Two people connect; a page is deleted, an item posted, a login left open. Later versions also have
 * a service key and a connect session.
 *
 * @returns a position in the change feed, if this version has one
 */
async function useService(
  service: string,
  atlassian: string,
  url: string
): Promise<FixtureFacts['feed']> {
  const post = async (path: string, body?: object) =>
    await fetch(service + path, {
      method: 'POST',
      ...(body === undefined ? {} : { headers: JSON_HEADERS, body: JSON.stringify(body) })
    })
  for (const name of ['ada', 'bob']) {
    const response = await post('/users', { email: `${name}@example.com`, display_name: name })
    if (response.status !== 201) throw new Error(`POST /users: ${await response.text()}`)
  }
  for (const [user, product, account] of [
    ['1', 'jira', 'dana'],
    ['1', 'confluence', 'dana'],
    ['2', 'jira', 'sam']
  ] as const) {
    await connect(service, product, { state: `user_id=${user}` }, account)
  }
  await waitForRuns(url, 3)
  const [page] = await queryDatabase(url, 'select page_id from pages where owner_id = 1')
  await fetch(`${atlassian}/admin/pages/${page?.page_id}`, {
    method: 'POST',
    headers: JSON_HEADERS,
    body: JSON.stringify({ deleted: true })
  })
  const sync = '/integrations/confluence/sync'
  if (!(await post(`${sync}?mode=full`)).ok) await post(sync)
  await waitForRuns(url, 4)
  await post('/jira/projects', { owner_id: 1, key: 'POST', name: "Ada's own; posted" })
  await post('/connect-sessions', { user: 1, products: ['jira'] })
  await fetch(`${service}/auth/jira/login?state=user_id=2`)
  // Stores the points used so far, which otherwise happens with a later call.
  await fetch(`${service}/limits`)
  return await readFeedPosition(service)
}

/** Gives the consent of an account of the sandbox. */
async function connect(
  service: string,
  product: string,
  query: Record<string, string>,
  account: string
): Promise<void> {
  const login = await fetch(`${service}/auth/${product}/login?${new URLSearchParams(query)}`)
  const { url } = (await login.json()) as { url: string }
  const decision = `&sandbox_decision=accept&sandbox_account=${account}&sandbox_site=acme`
  const consent = await fetch(url + decision, { redirect: 'manual' })
  const callback = await fetch(consent.headers.get('location') ?? '', { redirect: 'manual' })
  if (callback.status >= 400) throw new Error(`${callback.url}: ${await callback.text()}`)
}

async function readFeedPosition(service: string): Promise<FixtureFacts['feed']> {
  const response = await fetch(`${service}/users/1/changes?limit=3`)
  if (!response.ok) return null
  const { next } = (await response.json()) as { next: string }
  const rest = await fetch(`${service}/users/1/changes?limit=500&since=${encodeURIComponent(next)}`)
  return { cursor: next, left: ((await rest.json()) as { changes: unknown[] }).changes.length }
}

async function waitForRuns(url: string, count: number): Promise<void> {
  await waitFor(async () => {
    const [row] = await queryDatabase(
      url,
      'select count(*) as ended from runs where finished_at is not null'
    )
    return Number(row?.ended) >= count
  }, FIRST_SYNC_TIMEOUT_MS)
}

function startProgram(args: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [join(source, 'src/main.js'), ...args], {
    cwd: workFolder,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-10_000)
    })
  }
  const exited = once(child, 'exit')
  return {
    output: () => text,
    exited,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await exited
    }
  }
}

function readCommit(): string {
  return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
    cwd: source,
    encoding: 'utf8'
  }).trim()
}
