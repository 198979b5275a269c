import { INITIAL_CHECKPOINT } from '../src/store/repositories/checkpoints.ts'
import { itemTableShapes } from '../src/providers/index.ts'
import type { Store } from '../src/store/index.ts'
import type { Grant } from '../src/store/repositories/grants.ts'
import { BIG_OWNER_ID, NOW_MS } from './explain-fill.ts'

/** A frequent call of the service to its store. */
export interface HotQuery {
  name: string
  execute: (store: Store) => Promise<unknown>
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const SITE_ID = '8f0c1d3e-0000-4000-8000-000000000001'
const SMALL_OWNER_ID = 5_000
const PAGE_SIZE = 250
const REASON = { code: 'x', detail: 'X.' } as const
const UNUSED_LEASE = 'nobody'
const now = new Date(NOW_MS)
const cursorTitle = 'Page 500000 of the handbook'
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
const encryptedTokenFields = {
  keyId: 'k1',
  accessToken: 'a',
  refreshToken: 'r',
  previousRefreshToken: null
}
const refreshedTokens = {
  ...encryptedTokenFields,
  scopes: 's',
  accessExpiresAt: now,
  previousUntil: null,
  rotatedAt: now,
  dueAt: now
}
const loginFlow = {
  stateHash: 'new',
  provider: 'jira',
  clientId: 'client',
  redirectUri: 'r',
  callerState: null,
  returnUrl: null,
  scopes: '',
  changeAccount: 0,
  browserHash: null,
  userId: null,
  quotaKey: 'somebody',
  initiator: '',
  expiresAt: now
}
const buildAttempt = (id: string) => ({ id, version: 1, owner: 'me' })
const buildGrant = (id: string) => ({ id, clientId: 'client', accountId: id, ...refreshedTokens })
const newConnection = {
  userId: SMALL_OWNER_ID,
  provider: 'jira',
  sites: [],
  selectedSites: [],
  state: 'active' as const,
  reason: null,
  before: null
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

const listQueries: HotQuery[] = [BIG_OWNER_ID, SMALL_OWNER_ID].flatMap((owner) => {
  const ownerTitle = owner === BIG_OWNER_ID ? 'of the big owner' : 'of a small owner'
  return [
    { name: `pages ${ownerTitle}`, execute: ({ items }) => items('pages').list(owner, 1000) },
    {
      name: `pages ${ownerTitle}, from a cursor`,
      execute: ({ items }) => items('pages').list(owner, 1000, [cursorTitle, 1])
    },
    {
      name: `pages ${ownerTitle}, a rare space`,
      execute: ({ items }) => items('pages').list(owner, 1000, undefined, { parentKey: 'SP999' })
    },
    {
      name: `pages ${ownerTitle}, a rare space, from a cursor`,
      execute: ({ items }) =>
        items('pages').list(owner, 1000, [cursorTitle, 1], { parentKey: 'SP999' })
    },
    {
      name: `pages ${ownerTitle}, a space`,
      execute: ({ items }) => items('pages').list(owner, 1000, undefined, { parentKey: 'SP1' })
    },
    {
      name: `pages ${ownerTitle}, updated_since`,
      execute: ({ items }) =>
        items('pages').list(owner, 1000, undefined, { updatedSince: NOW_MS - HOUR_MS })
    },
    {
      name: `pages ${ownerTitle}, q`,
      execute: ({ items }) => items('pages').list(owner, 1000, undefined, { text: 'no such words' })
    },
    {
      name: `changes ${ownerTitle}`,
      execute: ({ items }) => items('pages').listChanges(owner, 40, 500)
    }
  ] satisfies HotQuery[]
})

const detailQueries: HotQuery[] = [
  {
    name: 'page bodies',
    execute: ({ items }) => items('pages').listWithBody(BIG_OWNER_ID, 100, [cursorTitle, 1])
  },
  { name: 'issues', execute: ({ items }) => items('issues').list(BIG_OWNER_ID, 1000) },
  {
    name: 'issues, a rare project',
    execute: ({ items }) =>
      items('issues').list(BIG_OWNER_ID, 1000, undefined, { parentKey: 'PRJ999' })
  },
  {
    name: 'issues, updated_since',
    execute: ({ items }) =>
      items('issues').list(BIG_OWNER_ID, 1000, undefined, { updatedSince: NOW_MS - HOUR_MS })
  },
  {
    name: 'issues, q',
    execute: ({ items }) =>
      items('issues').list(BIG_OWNER_ID, 1000, undefined, { text: 'no such words' })
  },
  { name: 'projects', execute: ({ items }) => items('projects').list(BIG_OWNER_ID, 1000) },
  {
    name: 'projects, one',
    execute: ({ items }) =>
      items('projects').list(BIG_OWNER_ID, 1000, undefined, { parentKey: 'PRJ7' })
  },
  {
    name: 'spaces, from a cursor',
    execute: ({ items }) => items('spaces').list(BIG_OWNER_ID, 1000, ['SP5', 1])
  },
  { name: 'change feed: state', execute: ({ changeFeed }) => changeFeed.getState(BIG_OWNER_ID) },
  {
    name: 'a manually uploaded page',
    execute: ({ items }) =>
      items('pages').save(BIG_OWNER_ID, 'by-hand', {
        spaceKey: 'SP1',
        pageId: 'by-hand',
        title: 'T',
        url: null
      })
  }
]

const syncQueries: HotQuery[] = [
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

const runQueries: HotQuery[] = [
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
        await store.runs.finish(run, counters, { state: 'succeeded' })
      })
  },
  { name: 'runs: queue', execute: ({ runs }) => runs.enqueue(1, 'jira') },
  { name: 'runs: find the active one', execute: ({ runs }) => runs.enqueue(1, 'jira') },
  { name: 'runs: get', execute: ({ runs }) => runs.get(40_000, 'confluence') },
  { name: 'runs: list', execute: ({ runs }) => runs.list(SMALL_OWNER_ID, 'confluence', 50) },
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
      await rateBudgets.block('client', 1, 'me', 1)
      await rateBudgets.addUsage('client', 1, 1, 0)
    }
  },
  { name: 'budgets: purge', execute: ({ rateBudgets }) => rateBudgets.purge(NOW_MS) }
]

const userQueries: HotQuery[] = [
  { name: 'users: by id', execute: ({ users }) => users.get(SMALL_OWNER_ID) },
  { name: 'users: by address', execute: ({ users }) => users.find('person.77@example.com') },
  { name: 'users: first', execute: ({ users }) => users.findFirst() },
  { name: 'users: list', execute: ({ users }) => users.list(100, SMALL_OWNER_ID) },
  { name: 'users: create', execute: ({ users }) => users.findOrCreate('new@example.com', null) },
  { name: 'flows: start and sweep', execute: ({ loginFlows }) => loginFlows.start(loginFlow, 100) },
  { name: 'flows: get', execute: ({ loginFlows }) => loginFlows.get('new') },
  { name: 'flows: claim', execute: ({ loginFlows }) => loginFlows.claim('new', 'code') },
  {
    name: 'flows: delete for a user',
    execute: async (store) => {
      const forgetting = await store.loginFlows.deleteForUserStatement({
        id: SMALL_OWNER_ID,
        email: 'a@b.co'
      })
      return await store.batch((tx) => [forgetting(tx)])
    }
  },
  {
    name: 'connections: get',
    execute: ({ connections }) => connections.get(SMALL_OWNER_ID, 'confluence')
  },
  { name: 'connections: list', execute: ({ connections }) => connections.list(SMALL_OWNER_ID) },
  {
    name: 'connections: of a grant',
    execute: ({ connections }) => connections.listByGrant('grant-77')
  },
  {
    name: 'connections: scopes that others hold',
    execute: ({ connections }) =>
      connections.findScopesOfOtherConnections(SMALL_OWNER_ID, 'client', 'confluence')
  },
  {
    name: 'connections: history',
    execute: ({ connectionHistory }) => connectionHistory.list(SMALL_OWNER_ID, 50)
  },
  {
    name: 'connect',
    execute: ({ grants }) => grants.connect(buildGrant('another'), newConnection)
  },
  { name: 'disconnect', execute: ({ connections }) => connections.remove(SMALL_OWNER_ID, 'jira') }
]

const tokenQueries: HotQuery[] = [
  { name: 'grants: get', execute: ({ grants }) => grants.get('grant-77') },
  {
    name: 'grants: begin a refresh',
    execute: ({ grants }) => grants.beginRefresh(buildAttempt('grant-77'), 0, 30_000, now, '')
  },
  {
    name: 'grants: save a refresh',
    execute: async ({ grants }) => {
      await grants.beginRefresh(buildAttempt('grant-78'), 0, 30_000, now)
      await grants.saveTokens(buildAttempt('grant-78'), refreshedTokens)
    }
  },
  {
    name: 'grants: a failed refresh',
    execute: async ({ grants }) => {
      await grants.beginRefresh(buildAttempt('grant-79'), 0, 30_000, now)
      await grants.saveFailure(buildAttempt('grant-79'), {
        to: 'degraded',
        reason: REASON,
        set: {}
      })
    }
  },
  {
    name: 'grants: find the refresh lease',
    execute: ({ grants }) => grants.findRefreshLease('grant-77')
  },
  { name: 'grants: due', execute: ({ grants }) => grants.listDue(now, 100) },
  {
    name: 'grants: due, from a cursor',
    execute: ({ grants }) =>
      grants.listDue(now, 100, { id: 'grant-5', dueAt: new Date(NOW_MS - HOUR_MS) })
  },
  {
    name: 'grants: erase previous tokens',
    execute: ({ grants }) => grants.erasePreviousTokens(now)
  },
  {
    name: 'grants: claim expiry warnings',
    execute: ({ grants }) => grants.claimExpiryWarning(7, new Date(NOW_MS - 358 * DAY_MS), 100)
  },
  {
    name: 'grants: client configured again',
    execute: ({ grants }) => grants.markClientConfigured('client')
  },
  { name: 'start: retry', execute: ({ grants }) => grants.retryMisconfigured() },
  {
    name: 'start: known clients',
    execute: ({ grants }) => grants.syncConfiguredClients(['client'], REASON)
  },
  { name: 'start: grants per key', execute: ({ encryptedTokens }) => encryptedTokens.countByKey() },
  {
    name: 'encrypted: with a key',
    execute: ({ encryptedTokens }) => encryptedTokens.listEncryptedWith('old', 100)
  },
  {
    name: 'encrypted: with another key',
    execute: ({ encryptedTokens }) => encryptedTokens.listEncryptedWithOtherKey('k1', '', 100)
  },
  {
    name: 'encrypted: with another key, none left',
    execute: ({ encryptedTokens }) =>
      encryptedTokens.listEncryptedWithOtherKey('k1', 'grant-99', 100)
  },
  {
    name: 'encrypted: replace',
    execute: async ({ grants, encryptedTokens }) => {
      const old = (await grants.get('grant-80')) as Grant
      await encryptedTokens.replace([{ id: old.id, old, fresh: { ...encryptedTokenFields } }])
    }
  },
  {
    name: 'keys: list, count',
    execute: async ({ vaultKeys }) => {
      await vaultKeys.list()
      await vaultKeys.addUses('k1', 1)
    }
  },
  {
    name: 'leases: acquire, find, release',
    execute: async (store) => {
      await store.batch((tx) => [store.leases.acquireStatement(tx, UNUSED_LEASE, 'me', 1_000)])
      await store.leases.findHolder(UNUSED_LEASE)
      await store.batch((tx) => [store.leases.releaseStatement(tx, UNUSED_LEASE, 'me')])
    }
  }
]

export const hotQueries: HotQuery[] = [
  ...listQueries,
  ...detailQueries,
  ...syncQueries,
  ...runQueries,
  ...userQueries,
  ...tokenQueries
]
