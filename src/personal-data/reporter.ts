import { randomUUID } from 'node:crypto'
import { askFor, type SiteSettings, type StopRuns } from '../connections/sites.ts'
import { disconnect } from '../connections/disconnect.ts'
import { AppError } from '../lib/errors.ts'
import type { Log } from '../lib/http-client.ts'
import { REPORT_SCOPE } from '../providers/atlassian.ts'
import { providerOf } from '../providers/index.ts'
import { createTicker, type Ticker } from '../lib/interval.ts'
import { MOST_ACCOUNTS, report, type Verdict } from './report-accounts.ts'

const TICK_MS = 15_000
/** How long a process that dies keeps the others from going on. One that works says so more often. */
const LEASE_MS = 20_000
const BEAT_MS = 5_000
/** How long nothing is told after a failure that names no time. */
const WAIT_MS = 3_600_000
/** Grants that are tried as the one that tells, one after the other. */
const MOST_REPORTERS = 5

export interface CycleSettings {
  sites: SiteSettings
  stopRuns: StopRuns
  log: Log
  /** The ids of the apps that are configured. */
  clientIds: () => string[]
}

/**
 * Atlassian's personal data reporting: each account whose id is kept is told of once in a cycle, and what Atlassian says of it is done.
 * One process at a time; any number may try. An account counts as told of when what was said of it is done.
 */
export function createCycle({ sites, stopRuns, log, clientIds }: CycleSettings): Ticker {
  const { store, now } = sites
  const stopping = new AbortController()
  let impossible = false

  async function tick(): Promise<void> {
    const owner = randomUUID()
    for (const clientId of clientIds()) {
      while (
        !ticker.isStopped() &&
        (await store.reports.due(clientId, new Date(now()), 1)).length > 0
      ) {
        if (!(await store.reports.take(owner, LEASE_MS))) return
        const beat = setInterval(() => {
          store.reports.take(owner, LEASE_MS).catch(() => {})
        }, BEAT_MS)
        const goesOn = await some(clientId).finally(() => {
          clearInterval(beat)
        })
        await store.reports.release(owner)
        if (!goesOn) break
      }
    }
  }

  /** Tells of some accounts of an app. @returns whether more may be told of now */
  async function some(clientId: string): Promise<boolean> {
    const at = new Date(now())
    try {
      const accounts = await store.reports.due(clientId, at, MOST_ACCOUNTS)
      if (accounts.length === 0) return false
      const { verdicts, cycleMs } = await tell(clientId, accounts)
      for (const verdict of verdicts) {
        await act(
          accounts
            .filter(({ accountId }) => accountId === verdict.accountId)
            .map(({ grantId }) => grantId),
          verdict
        )
      }
      await store.reports.told(
        accounts.map(({ grantId }) => grantId),
        new Date(now() + cycleMs)
      )
      log.info({
        event: 'personal_data_reported',
        accounts: accounts.length,
        closed: verdicts.filter(({ status }) => status === 'closed').length,
        updated: verdicts.filter(({ status }) => status === 'updated').length
      })
      return true
    } catch (error) {
      if (stopping.signal.aborted) return false
      await store.reports.postpone(clientId, at, new Date(now() + waitMs(error)))
      complain(error)
      return false
    }
  }

  /** By whichever grant may: Atlassian does not say which accounts a token may tell of, and takes those of the whole app. */
  async function tell(clientId: string, accounts: Awaited<ReturnType<typeof store.reports.due>>) {
    let failure = new AppError(
      'scope_missing',
      `No connection may report accounts: none works that holds the scope ${REPORT_SCOPE}.`
    )
    for (const { id } of await store.reports.reporters(clientId, REPORT_SCOPE, MOST_REPORTERS)) {
      const grant = await store.grants.get(id)
      if (grant === undefined) continue
      try {
        // It has limits of its own, which have nothing to do with the budget of reading.
        return await report(
          askFor(sites, grant, log, {
            signal: stopping.signal,
            turn: async (_method, _url, send) => await send()
          }),
          sites.apiUrlOf(grant),
          accounts,
          log
        )
      } catch (error) {
        // What another grant may be good for.
        if (
          !(error instanceof AppError) ||
          !['scope_missing', 'needs_reconnect', 'not_connected'].includes(error.code)
        ) {
          throw error
        }
        failure = error
      }
    }
    throw failure
  }

  async function act(grantIds: string[], { status }: Verdict): Promise<void> {
    for (const grantId of grantIds) {
      for (const {
        connection: { id, userId, provider }
      } of await store.connections.ofGrant(grantId)) {
        if (status === 'updated') {
          await store.atomically((tx) => [store.checkpoints.doubting(userId, provider)(tx)])
        } else await close(id, userId, provider)
      }
    }
  }

  async function close(connectionId: number, userId: number, provider: string): Promise<void> {
    await store.audit.note({ action: 'account_closed', userId, connectionId, product: provider })
    try {
      await disconnect(
        { store, access: sites.access, stopRuns, erasing: sites.erasing },
        userId,
        providerOf(provider),
        false,
        log
      )
    } catch (error) {
      // Somebody was faster.
      if (!(error instanceof AppError) || error.code !== 'connection_not_found') throw error
    }
  }

  /** What only an operator can mend is said once, and again when it has worked in between. */
  function complain(error: unknown): void {
    const isImpossible = error instanceof AppError && error.code === 'scope_missing'
    if (isImpossible && !impossible)
      log.warn({ event: 'privacy_report_not_permitted' }, error.message)
    else if (!isImpossible) {
      log.warn(
        { event: 'privacy_report_deferred', err: error },
        'Accounts could not be reported to Atlassian; it is tried again.'
      )
    }
    impossible = isImpossible
  }

  const ticker = createTicker(async () => {
    await tick().catch((err: unknown) => {
      log.error(
        { event: 'personal_data_error', err },
        'Accounts could not be reported to Atlassian; it is tried again.'
      )
    })
  }, TICK_MS)
  return {
    ...ticker,
    async stop() {
      stopping.abort()
      await ticker.stop()
    }
  }
}

function waitMs(error: unknown): number {
  return error instanceof AppError && error.extras.retryAfterS !== undefined
    ? error.extras.retryAfterS * 1000
    : WAIT_MS
}
