import { createAuthorizedClient } from '../connections/authorized-client.ts'
import type { KeyAvailability } from '../instances/heartbeat.ts'
import type { SiteSettings, StopRuns } from '../connections/sites.ts'
import { disconnect } from '../connections/disconnect.ts'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { REPORT_SCOPE } from '../providers/atlassian.ts'
import { createIntervalJob, type IntervalJob } from '../lib/interval.ts'
import { createLeaderLease } from './leader-lease.ts'
import {
  MAX_ACCOUNTS_PER_REPORT,
  sendAccountReport,
  type AccountStatus
} from './report-accounts.ts'

const POLL_INTERVAL_MS = 15_000
/** Pause after a failure that names no time. */
const DEFAULT_RETRY_DELAY_MS = 3_600_000
/** Grants tried, one after the other, as the sender of a report. */
const MAX_REPORTING_GRANTS = 5

export interface ReporterSettings {
  sites: SiteSettings
  stopRuns: StopRuns
  log: Logger
  /** Returns the ids of the configured apps. */
  clientIds: () => string[]
  /** The vault keys that this instance lacks. */
  keys: Pick<KeyAvailability, 'lacksCurrentKey'>
}

/**
 * Atlassian's personal data reporting: reports each stored account once per cycle and applies
 * the response. Every process tries to, one at a time does it. An account counts as reported once
 * the response has been applied.
 */
export function createPersonalDataReporter({
  sites,
  stopRuns,
  log,
  clientIds,
  keys
}: ReporterSettings): IntervalJob {
  const { store, now } = sites
  const shutdownController = new AbortController()
  let hasLoggedNotPermitted = false

  async function reportDueAccounts(): Promise<void> {
    // The erasure of a closed account could not be audited: another instance reports.
    if (keys.lacksCurrentKey()) return
    const runAsLeader = createLeaderLease(store.privacyReports)
    for (const clientId of clientIds()) {
      while (
        !intervalJob.isStopped() &&
        (await store.privacyReports.listDue(clientId, new Date(now()), 1)).length > 0
      ) {
        const hasMore = await runAsLeader(async () => await reportBatch(clientId))
        if (hasMore === undefined) return
        if (!hasMore) break
      }
    }
  }

  /**
   * Reports some accounts of an app.
   *
   * @returns whether more are due now
   */
  async function reportBatch(clientId: string): Promise<boolean> {
    const at = new Date(now())
    try {
      const accounts = await store.privacyReports.listDue(clientId, at, MAX_ACCOUNTS_PER_REPORT)
      if (accounts.length === 0) return false
      const { accountStatuses, cycleMs } = await sendReport(clientId, accounts)
      for (const accountStatus of accountStatuses) {
        await applyStatus(
          accounts
            .filter(({ accountId }) => accountId === accountStatus.accountId)
            .map(({ grantId }) => grantId),
          accountStatus
        )
      }
      await store.privacyReports.markReported(
        accounts.map(({ grantId }) => grantId),
        new Date(now() + cycleMs)
      )
      log.info({
        event: 'personal_data_reported',
        accounts: accounts.length,
        closed: accountStatuses.filter(({ status }) => status === 'closed').length,
        updated: accountStatuses.filter(({ status }) => status === 'updated').length
      })
      return true
    } catch (error) {
      if (shutdownController.signal.aborted) return false
      await store.privacyReports.postpone(
        clientId,
        at,
        new Date(now() + computeRetryDelayMs(error))
      )
      logFailure(error)
      return false
    }
  }

  /**
   * Sends with any grant of the app: Atlassian does not say which accounts a token may report,
   * and accepts those of the whole app.
   */
  async function sendReport(
    clientId: string,
    accounts: Awaited<ReturnType<typeof store.privacyReports.listDue>>
  ) {
    let failure = new AppError(
      'scope_missing',
      `No connection can report accounts: none whose tokens work has the scope ${REPORT_SCOPE}.`
    )
    for (const { id } of await store.privacyReports.listReportingGrants(
      clientId,
      REPORT_SCOPE,
      MAX_REPORTING_GRANTS
    )) {
      const grant = await store.grants.get(id)
      if (grant === undefined) continue
      try {
        // This API has limits of its own, separate from the rate budget.
        return await sendAccountReport(
          createAuthorizedClient(sites, grant, log, {
            signal: shutdownController.signal,
            throttle: async (_method, _url, send) => await send()
          }),
          sites.resolveApiUrl(grant),
          accounts,
          log
        )
      } catch (error) {
        // Errors that another grant may not cause.
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

  async function applyStatus(grantIds: string[], { status }: AccountStatus): Promise<void> {
    for (const grantId of grantIds) {
      for (const {
        connection: { id, userId, provider }
      } of await store.connections.listByGrant(grantId)) {
        if (status === 'updated') {
          await store.batch((tx) => [store.checkpoints.invalidateStatement(userId, provider)(tx)])
        } else await eraseClosedAccount(id, userId, provider)
      }
    }
  }

  async function eraseClosedAccount(
    connectionId: number,
    userId: number,
    provider: string
  ): Promise<void> {
    await store.audit.append({ action: 'account_closed', userId, connectionId, product: provider })
    try {
      await disconnect(
        {
          store,
          tokenProvider: sites.tokenProvider,
          stopRuns,
          eraseCopiesStatements: sites.eraseCopiesStatements
        },
        userId,
        sites.providers.get(provider),
        false,
        log
      )
    } catch (error) {
      // The connection was removed meanwhile.
      if (!(error instanceof AppError) || error.code !== 'connection_not_found') throw error
    }
  }

  /** Logs a missing permission, which only an operator can correct, once until another failure occurs. */
  function logFailure(error: unknown): void {
    const isNotPermitted = error instanceof AppError && error.code === 'scope_missing'
    if (isNotPermitted && !hasLoggedNotPermitted) {
      log.warn({ event: 'privacy_report_not_permitted' }, error.message)
    } else if (!isNotPermitted) {
      log.warn(
        { event: 'privacy_report_deferred', err: error },
        'Reporting accounts to Atlassian failed; it is retried.'
      )
    }
    hasLoggedNotPermitted = isNotPermitted
  }

  const intervalJob = createIntervalJob(async () => {
    await reportDueAccounts().catch((err: unknown) => {
      log.error(
        { event: 'personal_data_error', err },
        'Reporting accounts to Atlassian failed; it is retried.'
      )
    })
  }, POLL_INTERVAL_MS)
  return {
    ...intervalJob,
    async stop() {
      shutdownController.abort()
      await intervalJob.stop()
    }
  }
}

function computeRetryDelayMs(error: unknown): number {
  return error instanceof AppError && error.details.retryAfterS !== undefined
    ? error.details.retryAfterS * 1000
    : DEFAULT_RETRY_DELAY_MS
}
