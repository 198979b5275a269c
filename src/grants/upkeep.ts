import type { Log } from '../http.ts'
import type { Store } from '../store/index.ts'
import type { Vault } from '../vault/vault.ts'
import type { Access } from './access.ts'

const TICK_MS = 15_000
const DAY_MS = 86_400_000
/** Atlassian wants a new consent after this many days, whatever is refreshed (atlassian.md section 3.1). */
export const CONSENT_DAYS = 365
/** Days before that on which somebody is warned. */
const WARNINGS = [30, 7] as const
const AT_ONCE = 50

export interface UpkeepSettings {
  store: Store
  vault: Vault
  access: Access
  now: () => number
  leaseMs: number
  log: Log
}

/** When Atlassian will want a new consent. */
export function reconsentBy (consentedAt: Date): Date {
  return new Date(consentedAt.getTime() + CONSENT_DAYS * DAY_MS)
}

/**
 * What nobody asks for and somebody has to do: refreshes that were begun and never ended, idle grants that would die, old
 * tokens that have stopped working, warnings before the year is over. Any number of processes may do it at once: each
 * refresh has its lease, and each warning is taken by one.
 */
export function createUpkeep ({ store, vault, access, now, leaseMs, log }: UpkeepSettings) {
  let timer: NodeJS.Timeout | undefined
  let working: Promise<void> | undefined
  let stopped = false

  /** @param horizonMs how far ahead to look: after a start, attempts of a process that died still have their lease */
  async function tick (horizonMs = 0): Promise<void> {
    access.sweep()
    const uses = vault.takeUses()
    if (uses > 0) await store.keys.addUses(vault.keyId, uses)
    await store.grants.forgetPrevious(new Date(now()))
    for (const days of WARNINGS) await warn(days)
    await refreshDue(horizonMs)
  }

  async function refreshDue (horizonMs: number): Promise<void> {
    const tried = new Set<string>()
    for (let more = true; more;) {
      const ids = (await store.grants.due(new Date(now() + horizonMs), AT_ONCE)).filter((id) => !tried.has(id))
      more = ids.length > 0 && !stopped
      for (const id of ids) tried.add(id)
      // How it went is in the grant, its history and the log.
      await Promise.allSettled(ids.map((id) => access.accessToken(id, { log })))
    }
  }

  async function warn (days: number): Promise<void> {
    const due = await store.grants.warnOf(days, new Date(now() - (CONSENT_DAYS - days) * DAY_MS), AT_ONCE)
    for (const { id, consentedAt } of due) {
      const by = reconsentBy(consentedAt)
      for (const { connection: { userId, provider } } of await store.connections.ofGrant(id)) {
        log.warn({ event: 'consent_ends', grant_id: id, user_id: userId, product: provider, reconsent_by: by, days_left: Math.max(0, Math.ceil((by.getTime() - now()) / DAY_MS)) }, 'Atlassian will want a new consent: the person has to connect again.')
      }
    }
    if (due.length === AT_ONCE) await warn(days)
  }

  /** Never rejects: trouble is logged, and there is a next time. */
  async function once (horizonMs = 0): Promise<void> {
    working ??= tick(horizonMs).catch((err: unknown) => { log.error({ event: 'upkeep_error', err }, 'Upkeep could not do its work; it tries again.') })
      .finally(() => { working = undefined })
    await working
  }

  return {
    /** Does it all once; resolves when it is done. */
    once,

    /** Does it now, and again and again. */
    async start (): Promise<void> {
      await store.grants.retryMisconfigured()
      timer = setInterval(once, TICK_MS).unref()
      once(leaseMs).catch(() => {})
    },

    /** Ends it, and waits for what is under way: an exchange that was begun is saved. */
    async stop (): Promise<void> {
      stopped = true
      clearInterval(timer)
      await working
      await access.settled()
      const uses = vault.takeUses()
      if (uses > 0) await store.keys.addUses(vault.keyId, uses)
    }
  }
}

export type Upkeep = ReturnType<typeof createUpkeep>
