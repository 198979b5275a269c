import { INITIAL_CHECKPOINT } from '../src/store/repositories/checkpoints.ts'
import { itemTableShapes } from '../src/providers/index.ts'
import type { Store } from '../src/store/index.ts'
import { BIG_OWNER_ID, NOW_MS } from './explain-fill.ts'
import { DAY_MS, now, SITE_ID, SMALL_OWNER_ID, type HotQuery } from './explain-query.ts'

const PAGE_SIZE = 250
const counters = {
  seen: 1,
  added: 0,
  changed: 0,
  removed: 0,
  held: 0,
  skipped: 0,
  calls: 1,
  points: 1,
  progress: null,
  done: [],
  failures: []
}
const partition = {
  ownerId: BIG_OWNER_ID,
  provider: 'confluence',
  site: SITE_ID,
  collection: 'pages'
}

const buildRemoteIds = (from: number) =>
  Array.from({ length: PAGE_SIZE }, (_, i) => String(10_000_000 + from + i))
const buildPages = (from: number, word: string) =>
  buildRemoteIds(from).map((remoteId) => ({
    remoteId,
    item: { spaceKey: 'SP1', pageId: remoteId, title: word, status: 'current', url: null }
  }))

async function withClaimedRun(
  store: Store,
  action: (run: { id: number; worker: string }) => Promise<unknown>
): Promise<unknown> {
  const [next] = await store.runs.listClaimable(1)
  const run = await store.runs.claim(next?.id ?? 0, 'worker')
  return await action({ id: run?.id ?? 0, worker: 'worker' })
}

export const copyQueries: HotQuery[] = [
  {
    name: 'copy: pages that are new',
    execute: (store) =>
      store.transaction(
        () =>
          store.items('pages').upsertPage(SMALL_OWNER_ID, SITE_ID, buildPages(9_000_000, 'new'), 4),
        true
      )
  },
  {
    name: 'copy: pages that changed',
    execute: (store) =>
      store.transaction(
        () =>
          store.items('pages').upsertPage(BIG_OWNER_ID, SITE_ID, buildPages(1_000, 'changed'), 4),
        true
      )
  },
  {
    name: 'copy: pages without changes',
    execute: (store) =>
      store.transaction(
        () =>
          store.items('pages').upsertPage(BIG_OWNER_ID, SITE_ID, buildPages(1_000, 'changed'), 5),
        true
      )
  },
  {
    name: 'copy: find',
    execute: ({ items }) =>
      items('pages').findByRemoteIds(BIG_OWNER_ID, SITE_ID, buildRemoteIds(5_000))
  },
  {
    name: 'copy: unlisted items, a batch',
    execute: ({ items }) => items('pages').findUnlisted(BIG_OWNER_ID, SITE_ID, 4).next()
  },
  {
    name: 'copy: any item listed',
    execute: ({ items }) => items('pages').findAnyListed(BIG_OWNER_ID, SITE_ID, 3)
  },
  {
    name: 'copy: write tombstones',
    execute: (store) =>
      store.transaction(
        () =>
          store
            .items('pages')
            .writeTombstones(BIG_OWNER_ID, [{ id: 7, remoteId: '10000007', generation: 3 }]),
        true
      )
  },
  { name: 'copy: checkpoint', execute: ({ checkpoints }) => checkpoints.get(partition) },
  {
    name: 'copy: move the checkpoint',
    execute: (store) =>
      store.batch(() => [store.checkpoints.saveStatement(partition, INITIAL_CHECKPOINT)])
  },
  {
    name: 'held deletions',
    execute: ({ checkpoints }) => checkpoints.listHeldDeletions(BIG_OWNER_ID)
  },
  {
    name: 'confirm deletions',
    execute: (store) =>
      store.batch((tx) => [store.checkpoints.confirmStatement(BIG_OWNER_ID, 'confluence')(tx)])
  },
  ...itemTableShapes.map(({ name }): HotQuery => ({
    name: `purge ${name}`,
    execute: (store) => store.items(name).purge(new Date(NOW_MS - 30 * DAY_MS))
  }))
]

export const runQueries: HotQuery[] = [
  { name: 'runs: claimable', execute: ({ runs }) => runs.listClaimable(50) },
  { name: 'runs: next parked', execute: ({ runs }) => runs.getNextResumeAt() },
  { name: 'runs: claim', execute: async (store) => await withClaimedRun(store, async () => {}) },
  {
    name: 'runs: lock, save progress',
    execute: async (store) =>
      await withClaimedRun(
        store,
        async (run) =>
          await store.batch(() => [
            store.runs.lockStatement(run),
            store.runs.saveProgressStatement(run, counters)
          ])
      )
  },
  {
    name: 'runs: renew the lease, check it',
    execute: async (store) =>
      await withClaimedRun(store, async (run) => {
        await store.runs.renewLease(run)
        await store.runs.isOwned(run)
      })
  },
  {
    name: 'runs: end',
    execute: async (store) =>
      await withClaimedRun(store, async (run) => {
        const owned = { ...run, ownerId: 1, provider: 'jira' }
        await store.runs.finish(owned, counters, { state: 'succeeded' }, { syncDueAt: new Date() })
      })
  },
  { name: 'runs: queue', execute: ({ runs }) => runs.enqueue(1, 'jira') },
  { name: 'runs: find the active one', execute: ({ runs }) => runs.enqueue(1, 'jira') },
  { name: 'runs: get', execute: ({ runs }) => runs.get(40_000, 'confluence') },
  { name: 'runs: list', execute: ({ runs }) => runs.list(SMALL_OWNER_ID, 'confluence', 50) },
  { name: 'fleet: runs', execute: ({ fleet }) => fleet.listRuns({}, 50) },
  {
    name: 'fleet: runs that failed, a later page',
    execute: ({ fleet }) => fleet.listRuns({ state: 'failed' }, 50, [NOW_MS, 1_000])
  },
  {
    name: 'fleet: runs since a time',
    execute: ({ fleet }) => fleet.listRuns({ since: new Date(NOW_MS - DAY_MS) }, 50)
  },
  {
    name: 'fleet: runs of an owner',
    execute: ({ fleet }) => fleet.listRuns({ ownerId: SMALL_OWNER_ID }, 50)
  },
  {
    name: 'fleet: runs that wait',
    execute: ({ fleet }) => fleet.listRuns({ state: 'parked' }, 50)
  },
  {
    name: 'runs: end the active one',
    execute: ({ runs }) => runs.failActive(1, 'jira', { code: 'cancelled', detail: 'X.' })
  },
  { name: 'runs: purge', execute: ({ runs }) => runs.purge(new Date(NOW_MS - 30 * DAY_MS)) },
  { name: 'connections: due', execute: ({ connections }) => connections.listDue(now, 100) },
  {
    name: 'connections: claim the schedule',
    execute: ({ connections }) => connections.claimSchedule(SMALL_OWNER_ID, 'confluence', now, now)
  },
  {
    name: 'budgets: read',
    execute: ({ rateBudgets }) =>
      rateBudgets.listByNames([
        'client 1 GET /wiki/api/v2/pages',
        'client 2 GET /wiki/api/v2/pages',
        'client'
      ])
  },
  {
    name: 'budgets: block, add usage',
    execute: async ({ rateBudgets }) => {
      const key = { name: 'client', app: 'client', scope: 'app', target: '' }
      const refusal = { waitMs: 1, owner: 'me', reason: null, consecutiveRefusals: 1 }
      await rateBudgets.block({ ...key, ...refusal })
      await rateBudgets.addUsage({ ...key, hour: 1, points: 1, minimumUsed: 0, quota: null })
    }
  },
  { name: 'budgets: purge', execute: ({ rateBudgets }) => rateBudgets.purge(NOW_MS) }
]
