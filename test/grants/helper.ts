import { setTimeout as sleep } from 'node:timers/promises'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  buildAppWithSandbox,
  VAULT_KEY,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { createTempFolder, startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { startSandbox, type RunningSandbox } from '../sandbox/helper.ts'
import { HOUR_MS, MINUTE_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

export const CHECK_REQUEST = { method: 'POST', url: '/users/1/connections/jira/check' } as const
/** Longer than the lifetime of an access token. */
export const TOKEN_EXPIRED_MS = 61 * MINUTE_MS
export const TOKEN_ENDPOINT = { path: '/oauth/token', method: 'POST' }

/** The columns of a stored grant that the tests read. */
interface GrantRow {
  access_token: string
  refresh_token: string
  version: number
  state: string
  due_at: number
  attempt_at: number | null
  rotated_at: number | null
}

/** A folder with the database of a service that has connected Jira, and its sandbox. */
export interface GrantFixture {
  sandbox: RunningSandbox
  /**
   * Starts the real service on this database. `exchangeTimeoutMs` is the deadline of an
   * exchange; a lease lasts three times as long.
   */
  startService: (exchangeTimeoutMs?: number) => Promise<ServiceProcess>
  readGrant: () => Promise<GrantRow>
  /**
   * Makes a refresh necessary: the stored token has expired, and Atlassian rejects the cached
   * one. Older refresh tokens are dead by then.
   */
  expireToken: () => Promise<void>
  /** Makes the grant due for maintenance now. */
  makeDue: () => Promise<void>
}

export async function createGrantFixture(t: TestContext): Promise<GrantFixture> {
  const cwd = createTempFolder(t)
  const url = await ensureDatabase(t, `${cwd}/integration.db`)
  const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
  const env = buildSandboxEnv(sandbox.url)
  const { app } = await buildTestApp(t, { ...env, INTEGRATION_DB_URL: url })
  await new Browser(app).connect('jira')
  await waitForRun(app, 'jira')
  await app.close()
  return {
    sandbox,
    startService: async (exchangeTimeoutMs = 10_000) =>
      await startServiceProcess(t, {
        cwd,
        env: {
          ...env,
          APP_ENV: 'production',
          HOST: '127.0.0.1',
          VAULT_KEYS: VAULT_KEY,
          UPSTREAM_ANSWER_TIMEOUT_MS: String(exchangeTimeoutMs)
        }
      }),
    readGrant: async () =>
      (await queryDatabase<GrantRow>(url, 'select * from grants'))[0] as GrantRow,
    expireToken: async () => {
      await sandbox.admin('clock', { advance_ms: 2 * HOUR_MS })
      await queryDatabase(url, 'update grants set access_expires_at = ?', Date.now() - 1)
    },
    makeDue: async () => {
      await queryDatabase(url, 'update grants set due_at = ?', Date.now() - 1)
    }
  }
}

/** A connected service in this process; its clock and the sandbox's move together. */
export async function startServiceWithClock(t: TestContext): Promise<
  TestApp & {
    sandbox: RunningSandbox
    url: string
    file: string
    now: () => number
    advanceTime: (ms: number) => void
  }
> {
  let clockOffsetMs = 0
  const now = () => Date.now() + clockOffsetMs
  const file = `${createTempFolder(t)}/integration.db`
  const url = await ensureDatabase(t, file)
  const testApp = await buildAppWithSandbox(t, {
    env: { INTEGRATION_DB_URL: url },
    sandbox: SMALL_SANDBOX,
    now
  })
  await new Browser(testApp.app).connect('jira')
  await waitForRun(testApp.app, 'jira')
  return {
    ...testApp,
    url,
    file,
    now,
    advanceTime: (ms) => {
      clockOffsetMs += ms
    }
  }
}

/**
 * Checks the connection through a process, which needs a token. Status 0: the process died
 * before it answered.
 */
export async function checkConnection(
  { url }: Pick<ServiceProcess, 'url'>,
  signal?: AbortSignal
): Promise<{ status: number; body: any }> {
  try {
    const answer = await fetch(url + CHECK_REQUEST.url, {
      method: CHECK_REQUEST.method,
      ...(signal === undefined ? {} : { signal })
    })
    return { status: answer.status, body: await answer.json() }
  } catch {
    return { status: 0, body: undefined }
  }
}

export async function injectTokenFault(
  { admin }: RunningSandbox,
  kind: string,
  delayMs?: number
): Promise<void> {
  await admin('faults', {
    kind,
    match: TOKEN_ENDPOINT,
    times: 1,
    ...(delayMs === undefined ? {} : { delay_ms: delayMs })
  })
}

/** Number of refresh token exchanges by outcome. */
export function countExchanges({ state }: RunningSandbox): Record<string, number> & { ok: number } {
  return { ok: 0, ...state.stats.snapshot().exchanges.refresh_token }
}

/** Number of token endpoint calls, successful or not. */
export function countTokenCalls({ state }: RunningSandbox): number {
  return state.stats.snapshot().log.filter(({ path }) => path === TOKEN_ENDPOINT.path).length
}

/** Resolves when Atlassian has received the call that the latest fault matches. */
export async function waitForFaultHit({ state }: RunningSandbox): Promise<void> {
  await waitUntil('Atlassian is called', () => state.faults.list().length === 0)
}

export function countOccurrences(text: string, part: string): number {
  return text.split(part).length - 1
}

export async function waitUntil(
  description: string,
  condition: () => boolean,
  timeoutMs = 20_000
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain until ${description}`)
    await sleep(2)
  }
}
