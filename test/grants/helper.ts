import { SMALL } from '../auth/helper.ts'
import { databaseAt, rowsOf } from '../database.ts'
import {
  Browser,
  build,
  CLIENTS,
  configured,
  connected,
  KEY,
  synced,
  type Built,
  type Test
} from '../helper.ts'
import { folder, start, type Started } from '../process/child.ts'
import { startSandbox, type Running } from '../sandbox/helper.ts'

export const SECOND_MS = 1_000
export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const CHECK = { method: 'POST', url: '/users/1/connections/jira/check' } as const
const TOKEN = { path: '/oauth/token', method: 'POST' }

/** What the tests read of a stored grant. */
export interface Row {
  access_token: string
  refresh_token: string
  version: number
  state: string
  due_at: number
  attempt_at: number | null
  rotated_at: number | null
}

/** A folder with the database of a service that has connected Jira, and the Atlassian it has connected to. */
export interface Place {
  sandbox: Running
  /** Starts the real service on this database. `answerMs` is the deadline of an exchange; a lease lasts three of them. */
  serve: (answerMs?: number) => Promise<Started>
  row: () => Promise<Row>
  /** Makes a refresh necessary: the stored token's time is over, and Atlassian turns down the one that a process remembers. Older refresh tokens are dead by then. */
  expire: () => Promise<void>
  /** Makes it upkeep's turn now, not only in a while. */
  makeDue: () => Promise<void>
}

export async function place(t: Test): Promise<Place> {
  const cwd = folder(t)
  const url = await databaseAt(t, `${cwd}/integration.db`)
  const sandbox = await startSandbox(t, { clients: CLIENTS, ...SMALL })
  const env = configured(sandbox.url)
  const { app } = await build(t, { ...env, INTEGRATION_DB_URL: url })
  await new Browser(app).connect('jira')
  await synced(app, 'jira')
  await app.close()
  return {
    sandbox,
    serve: async (answerMs = 10_000) =>
      await start(t, {
        cwd,
        env: {
          ...env,
          APP_ENV: 'production',
          HOST: '127.0.0.1',
          VAULT_KEYS: KEY,
          UPSTREAM_ANSWER_TIMEOUT_MS: String(answerMs)
        }
      }),
    row: async () => (await rowsOf<Row>(url, 'select * from grants'))[0] as Row,
    expire: async () => {
      await sandbox.admin('clock', { advance_ms: 2 * HOUR_MS })
      await rowsOf(url, 'update grants set access_expires_at = ?', Date.now() - 1)
    },
    makeDue: async () => {
      await rowsOf(url, 'update grants set due_at = ?', Date.now() - 1)
    }
  }
}

/** A connected service in this process; its time and Atlassian's move together. */
export async function moving(t: Test): Promise<
  Built & {
    sandbox: Running
    url: string
    file: string
    now: () => number
    pass: (ms: number) => void
  }
> {
  let ahead = 0
  const now = () => Date.now() + ahead
  const file = `${folder(t)}/integration.db`
  const url = await databaseAt(t, file)
  const built = await connected(t, { env: { INTEGRATION_DB_URL: url }, sandbox: SMALL, now })
  await new Browser(built.app).connect('jira')
  await synced(built.app, 'jira')
  return {
    ...built,
    url,
    file,
    now,
    pass: (ms) => {
      ahead += ms
    }
  }
}

/** Asks a process whether the connection works, which takes a token. Status 0: it died before it answered. */
export async function check(
  { url }: Pick<Started, 'url'>,
  signal?: AbortSignal
): Promise<{ status: number; body: any }> {
  try {
    const answer = await fetch(url + CHECK.url, {
      method: CHECK.method,
      ...(signal === undefined ? {} : { signal })
    })
    return { status: answer.status, body: await answer.json() }
  } catch {
    return { status: 0, body: undefined }
  }
}

export async function tokenFault(
  { admin }: Running,
  kind: string,
  delayMs?: number
): Promise<void> {
  await admin('faults', {
    kind,
    match: TOKEN,
    times: 1,
    ...(delayMs === undefined ? {} : { delay_ms: delayMs })
  })
}

/** How often refresh tokens were exchanged, by outcome. */
export function exchanges({ world }: Running): Record<string, number> {
  return { ok: 0, ...world.stats.read().exchanges.refresh_token }
}

/** How often the token endpoint was called, whether or not it did its work. */
export function tokenCalls({ world }: Running): number {
  return world.stats.read().log.filter(({ path }) => path === TOKEN.path).length
}

/** Resolves when Atlassian has got the call that the latest fault was meant for. */
export async function met({ world }: Running): Promise<void> {
  await until('Atlassian is asked', () => world.faults.list().length === 0)
}

export function occurrences(text: string, part: string): number {
  return text.split(part).length - 1
}

export async function until(
  what: string,
  condition: () => boolean,
  longestMs = 20_000
): Promise<void> {
  const giveUpAt = performance.now() + longestMs
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`Waited in vain until ${what}`)
    await pause(2)
  }
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
