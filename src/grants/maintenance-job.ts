import pLimit from 'p-limit'
import type { KeyAvailability } from '../instances/heartbeat.ts'
import type { Logger } from '../lib/http-client.ts'
import { CLIENT_REMOVED } from '../oauth/clients.ts'
import type { Store } from '../store/index.ts'
import { createIntervalJob } from '../lib/interval.ts'
import type { Vault } from '../vault/vault.ts'
import { healUndecryptableGrants } from './heal-undecryptable.ts'
import type { TokenProvider } from './access-token.ts'
import { logStateChanges } from './log-state-change.ts'

const MAINTENANCE_INTERVAL_MS = 15_000
const DAY_MS = 86_400_000
/** How often grants that could not be decrypted are tried again. */
const HEAL_INTERVAL_MS = 120_000
/**
 * Atlassian requires a new consent after this many days, however often tokens are refreshed
 * (docs/reference/atlassian.md#31-rotation).
 */
const CONSENT_LIFETIME_DAYS = 365
/**
 * Days before the end of the consent at which a warning is logged. Ascending: after the warning
 * for 7 days, the one for 30 days is not logged any more.
 */
const EXPIRY_WARNING_DAYS = [7, 30] as const
const BATCH_SIZE = 50
/** Below MAX_CONCURRENT_EXCHANGES, so that callers do not queue behind background refreshes. */
const MAX_CONCURRENT_REFRESHES = 4

export interface MaintenanceSettings {
  store: Store
  vault: Vault
  tokenProvider: TokenProvider
  now: () => number
  log: Logger
  /** Returns the ids of the configured clients. */
  clientIds: () => string[]
  /** Days that audit rows are kept; 0: for ever. */
  auditRetentionDays: number
  /** The vault keys that this instance lacks. */
  keys: KeyAvailability
  /** Whether connections are synced on a schedule. */
  hasSchedule: boolean
}

/** When Atlassian will require a new consent. */
export function computeConsentExpiry(consentedAt: Date): Date {
  return new Date(consentedAt.getTime() + CONSENT_LIFETIME_DAYS * DAY_MS)
}

/**
 * Background work on grants: completes refreshes that were started and never ended, keeps idle
 * grants alive, erases old tokens that have stopped working, and warns before a consent ends.
 * Every process may run it at once: a refresh has its lease, and each warning is claimed once.
 */
export function createMaintenanceJob({
  store,
  vault,
  tokenProvider,
  now,
  log,
  clientIds,
  auditRetentionDays,
  keys,
  hasSchedule
}: MaintenanceSettings) {
  const limit = pLimit(MAX_CONCURRENT_REFRESHES)
  let hasSyncedClients = false
  let healedAt = -Infinity

  /** Each task runs, whatever happens to the others. */
  const tasks: Array<() => Promise<unknown>> = [
    syncConfiguredClients,
    healGrants,
    refreshDueGrants,
    async () => {
      await store.grants.erasePreviousTokens(new Date(now()))
    },
    async () => {
      await store.connectSessions.purge()
    },
    async () => {
      await store.loginFlows.purge()
    },
    async () => {
      await store.instances.purge()
    },
    async () => {
      if (auditRetentionDays > 0) {
        // By whole days, because each purge appends an entry.
        const days = Math.floor(now() / DAY_MS) - auditRetentionDays
        await store.audit.purge(new Date(days * DAY_MS), { days: auditRetentionDays })
      }
    },
    async () => {
      for (const days of EXPIRY_WARNING_DAYS) await warnBeforeExpiry(days)
    },
    async () => await store.truncateWal(true)
  ]

  async function runTasks(): Promise<void> {
    tokenProvider.evictExpired()
    // What it would write could not be signed.
    if (keys.lacksCurrentKey()) return
    for (const task of tasks) await runTask(task)
  }

  async function runTask(task: () => Promise<unknown>): Promise<void> {
    await task().catch((err: unknown) => {
      log.error({ event: 'maintenance_error', err }, 'A maintenance task failed; it is retried.')
    })
  }

  /** Applies changed client settings to existing grants, once after a start. */
  async function syncConfiguredClients(): Promise<void> {
    if (hasSyncedClients) return
    await store.grants.retryMisconfigured()
    logStateChanges(await store.grants.syncConfiguredClients(clientIds(), CLIENT_REMOVED), log)
    hasSyncedClients = true
  }

  async function healGrants(): Promise<void> {
    if (performance.now() - healedAt < HEAL_INTERVAL_MS) return
    healedAt = performance.now()
    await healUndecryptableGrants({ store, vault, now, hasSchedule }, log)
  }

  async function refreshDueGrants(): Promise<void> {
    const at = new Date(now())
    let cursor: { id: string; dueAt: Date } | undefined
    do {
      const dueGrants = await store.grants.listDue(at, BATCH_SIZE, cursor, keys.getMissingKeyIds())
      // The result of each refresh is in the grant, its history and the log.
      await Promise.allSettled(
        dueGrants.map(({ id }) =>
          limit(async () =>
            intervalJob.isStopped() ? undefined : await tokenProvider.getAccessToken(id, { log })
          )
        )
      )
      cursor =
        dueGrants.length === BATCH_SIZE && !intervalJob.isStopped() ? dueGrants.at(-1) : undefined
    } while (cursor !== undefined)
  }

  async function warnBeforeExpiry(days: number): Promise<void> {
    const claimedGrants = await store.grants.claimExpiryWarning(
      days,
      new Date(now() - (CONSENT_LIFETIME_DAYS - days) * DAY_MS),
      BATCH_SIZE
    )
    for (const { id, consentedAt } of claimedGrants) {
      const expiresAt = computeConsentExpiry(consentedAt)
      for (const {
        connection: { userId, provider }
      } of await store.connections.listByGrant(id)) {
        log.warn(
          {
            event: 'consent_expiring',
            grant_id: id,
            user_id: userId,
            product: provider,
            reconsent_by: expiresAt,
            days_left: Math.max(0, Math.ceil((expiresAt.getTime() - now()) / DAY_MS))
          },
          'The consent expires soon: the person has to connect again.'
        )
      }
    }
    if (claimedGrants.length === BATCH_SIZE) await warnBeforeExpiry(days)
  }

  const intervalJob = createIntervalJob(runTasks, MAINTENANCE_INTERVAL_MS)

  return {
    runNow: intervalJob.runNow,
    start: intervalJob.start,

    /** Applies changed settings and keys before the first request. */
    async prepare(): Promise<void> {
      if (keys.lacksCurrentKey()) return
      await runTask(syncConfiguredClients)
      await runTask(healGrants)
    },

    /** Stops the job: waits for running tasks and starts no new ones. */
    async stop(): Promise<void> {
      await intervalJob.stop()
      await tokenProvider.drain()
      // If the database is down, the rest of the shutdown continues.
      await runTask(vault.settleUses)
    }
  }
}

export type MaintenanceJob = ReturnType<typeof createMaintenanceJob>
