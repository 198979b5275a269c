import pLimit from 'p-limit'
import type { Log } from '../lib/http-client.ts'
import { CLIENT_GONE } from '../oauth/clients.ts'
import type { Store } from '../store/index.ts'
import { createTicker } from '../lib/interval.ts'
import type { Vault } from '../vault/vault.ts'
import type { Access } from './access-token.ts'
import { announce } from './log-state-change.ts'

const TICK_MS = 15_000
const DAY_MS = 86_400_000
/** Atlassian wants a new consent after this many days, whatever is refreshed (atlassian.md section 3.1). */
export const CONSENT_DAYS = 365
/** Days before that on which somebody is warned; the later warning includes the earlier. */
const WARNINGS = [7, 30] as const
const AT_ONCE = 50
/** Fewer than there is room for: whoever asks does not queue behind those whom nobody asked for. */
const REFRESHED_AT_ONCE = 4

export interface UpkeepSettings {
  store: Store
  vault: Vault
  access: Access
  now: () => number
  log: Log
  /** The ids of the clients that are configured. */
  clientIds: () => string[]
  /** How long the audit trail is kept; 0: for ever. */
  auditDays: number
}

/** When Atlassian will want a new consent. */
export function reconsentBy(consentedAt: Date): Date {
  return new Date(consentedAt.getTime() + CONSENT_DAYS * DAY_MS)
}

/**
 * What nobody asks for and somebody has to do: refreshes that were begun and never ended, idle grants that would die, old
 * tokens that have stopped working, warnings before the year is over. Any number of processes may do it at once: each
 * refresh has its lease, and each warning is taken by one.
 */
export function createUpkeep({
  store,
  vault,
  access,
  now,
  log,
  clientIds,
  auditDays
}: UpkeepSettings) {
  const slots = pLimit(REFRESHED_AT_ONCE)
  let settingsKnown = false
  let counted = 0

  /** Each has its chance, whatever becomes of the others. */
  const DUTIES: Array<() => Promise<unknown>> = [
    knowSettings,
    refreshDue,
    async () => {
      access.sweep()
    },
    async () => {
      await store.grants.forgetPrevious(new Date(now()))
    },
    async () => {
      await store.sessions.purge()
    },
    async () => {
      await store.flows.purge()
    },
    async () => {
      if (auditDays > 0) await store.audit.purge(new Date(now() - auditDays * DAY_MS))
    },
    async () => {
      for (const days of WARNINGS) await warn(days)
    },
    countUses,
    async () => await store.scrub(true)
  ]

  async function tick(): Promise<void> {
    for (const duty of DUTIES) await attempted(duty)
  }

  async function attempted(duty: () => Promise<unknown>): Promise<void> {
    await duty().catch((err: unknown) => {
      log.error(
        { event: 'maintenance_error', err },
        'Upkeep could not do a part of its work; it tries again.'
      )
    })
  }

  /** What new settings change for grants that were there before: once after a start. */
  async function knowSettings(): Promise<void> {
    if (settingsKnown) return
    await store.grants.retryMisconfigured()
    announce(await store.grants.knowClients(clientIds(), CLIENT_GONE), log)
    settingsKnown = true
  }

  async function refreshDue(): Promise<void> {
    const at = new Date(now())
    let last: { id: string; dueAt: Date } | undefined
    do {
      const due = await store.grants.due(at, AT_ONCE, last)
      // How it went is in the grant, its history and the log.
      await Promise.allSettled(
        due.map(({ id }) =>
          slots(async () =>
            ticker.isStopped() ? undefined : await access.accessToken(id, { log })
          )
        )
      )
      last = due.length === AT_ONCE && !ticker.isStopped() ? due.at(-1) : undefined
    } while (last !== undefined)
  }

  async function countUses(): Promise<void> {
    const uses = vault.uses() - counted
    if (uses === 0) return
    await store.keys.addUses(vault.keyId, uses)
    counted += uses
  }

  async function warn(days: number): Promise<void> {
    const due = await store.grants.warnOf(
      days,
      new Date(now() - (CONSENT_DAYS - days) * DAY_MS),
      AT_ONCE
    )
    for (const { id, consentedAt } of due) {
      const by = reconsentBy(consentedAt)
      for (const {
        connection: { userId, provider }
      } of await store.connections.ofGrant(id)) {
        log.warn(
          {
            event: 'consent_expiring',
            grant_id: id,
            user_id: userId,
            product: provider,
            reconsent_by: by,
            days_left: Math.max(0, Math.ceil((by.getTime() - now()) / DAY_MS))
          },
          'Atlassian will want a new consent: the person has to connect again.'
        )
      }
    }
    if (due.length === AT_ONCE) await warn(days)
  }

  const ticker = createTicker(tick, TICK_MS)

  return {
    once: ticker.once,
    start: ticker.start,

    /** What new settings change is known before the first request. */
    async prepare(): Promise<void> {
      await attempted(knowSettings)
    },

    /** Ends it; what is under way is waited for, and nothing is begun any more. */
    async stop(): Promise<void> {
      await ticker.stop()
      await access.settled()
      // Where the database is away, what follows at a stop has its chance all the same.
      await attempted(countUses)
    }
  }
}

export type Upkeep = ReturnType<typeof createUpkeep>
