import { COLLECTIONS } from '../model/items.ts'
import { createTicker, type Ticker } from '../lib/interval.ts'
import type { SyncSettings } from './context.ts'
import { tableOf } from './copy-collection.ts'
import type { Sync } from './worker.ts'

const TICK_MS = 2_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const AT_ONCE = 100

/**
 * What happens to copies without anybody asking: connections whose turn has come are queued, and what has been kept for long
 * enough is forgotten. Any number of processes may do it at once, because one run for each owner and product is all there can be.
 */
export function createSchedule(settings: SyncSettings, sync: Sync): Schedule {
  const { store, now, log } = settings
  let tidied = 0

  async function queueDue(): Promise<void> {
    if (settings.intervalMs === 0) return
    for (const { userId, provider, state, dueAt } of await store.connections.due(
      new Date(now()),
      AT_ONCE
    )) {
      // Another instance may have taken the turn since, and its run may be over already.
      const isMine = await store.connections.takeTurn(userId, provider, dueAt, sync.nextTurn())
      if (isMine && (state === 'active' || state === 'degraded')) {
        await store.runs.enqueue(userId, provider)
      }
    }
  }

  /** A little at a time, so that nobody waits behind it. */
  async function tidy(): Promise<void> {
    if (now() - tidied < HOUR_MS) return
    const before = (days: number) => new Date(now() - days * DAY_MS)
    await untilDone(async () => await store.runs.purge(before(settings.historyDays)))
    for (const name of COLLECTIONS) {
      await untilDone(async () => await tableOf(store, name).purge(before(settings.tombstoneDays)))
    }
    await store.budgets.purge(now())
    tidied = now()
  }

  async function untilDone(step: () => Promise<boolean>): Promise<void> {
    let more = true
    while (more) more = (await step()) && !ticker.isStopped()
  }

  async function tick(): Promise<void> {
    await queueDue()
    sync.wake()
    await tidy()
  }

  const ticker = createTicker(async () => {
    await tick().catch((err: unknown) => {
      log.error(
        { event: 'schedule_error', err },
        'The schedule could not be kept; it is tried again.'
      )
    })
  }, TICK_MS)
  return ticker
}

export type Schedule = Ticker
