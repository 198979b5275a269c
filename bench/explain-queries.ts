import { FIRST } from '../src/store/repositories/checkpoints.ts'
import { COLLECTIONS } from '../src/model/items.ts'
import type { Store } from '../src/store/index.ts'
import type { Grant } from '../src/store/repositories/grants.ts'
import { BIG, NOW } from './explain-fill.ts'

/** One thing that the service asks of its store, as it asks it. */
export interface Hot {
  name: string
  ask: (store: Store) => Promise<unknown>
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const SITE = '8f0c1d3e-0000-4000-8000-000000000001'
const SMALL = 5_000
const PAGE = 250
const REASON = { code: 'x', detail: 'X.' } as const
const NOBODY = 'nobody'
const at = new Date(NOW)
const title = 'Page 500000 of the handbook'
const tally = {
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
const part = { ownerId: BIG, provider: 'confluence', site: SITE, collection: 'pages' }
const secrets = { keyId: 'k1', accessToken: 'a', refreshToken: 'r', previousRefreshToken: null }
const fresh = {
  ...secrets,
  scopes: 's',
  accessExpiresAt: at,
  previousUntil: null,
  rotatedAt: at,
  dueAt: at
}
const flow = {
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
  opener: 'somebody',
  startedBy: '',
  expiresAt: at
}
const attempt = (id: string) => ({ id, version: 1, owner: 'me' })
const consent = (id: string) => ({ id, clientId: 'client', accountId: id, ...fresh })
const connecting = {
  userId: SMALL,
  provider: 'jira',
  sites: [],
  bound: [],
  state: 'active' as const,
  reason: null,
  before: null
}
const remoteIds = (from: number) =>
  Array.from({ length: PAGE }, (_, i) => String(10_000_000 + from + i))
const pagesOf = (from: number, word: string) =>
  remoteIds(from).map((remoteId) => ({
    remoteId,
    item: { spaceKey: 'SP1', pageId: remoteId, title: word, status: 'current', url: null }
  }))

async function under(
  store: Store,
  ask: (run: { id: number; worker: string }) => Promise<unknown>
): Promise<unknown> {
  const [next] = await store.runs.waiting(1)
  const run = await store.runs.claim(next?.id ?? 0, 'worker')
  return await ask({ id: run?.id ?? 0, worker: 'worker' })
}

const lists: Hot[] = [BIG, SMALL].flatMap((owner) => {
  const whose = owner === BIG ? 'of the big owner' : 'of a small one'
  return [
    { name: `pages ${whose}`, ask: ({ pages }) => pages.list(owner, 1000) },
    {
      name: `pages ${whose}, from a cursor`,
      ask: ({ pages }) => pages.list(owner, 1000, [title, 1])
    },
    {
      name: `pages ${whose}, a rare space`,
      ask: ({ pages }) => pages.list(owner, 1000, undefined, { within: 'SP999' })
    },
    {
      name: `pages ${whose}, a rare space, from a cursor`,
      ask: ({ pages }) => pages.list(owner, 1000, [title, 1], { within: 'SP999' })
    },
    {
      name: `pages ${whose}, a space`,
      ask: ({ pages }) => pages.list(owner, 1000, undefined, { within: 'SP1' })
    },
    {
      name: `pages ${whose}, updated_since`,
      ask: ({ pages }) => pages.list(owner, 1000, undefined, { since: NOW - HOUR_MS })
    },
    {
      name: `pages ${whose}, q`,
      ask: ({ pages }) => pages.list(owner, 1000, undefined, { text: 'no such words' })
    },
    { name: `changes ${whose}`, ask: ({ pages }) => pages.changes(owner, 40, 500) }
  ] satisfies Hot[]
})

const more: Hot[] = [
  { name: 'page bodies', ask: ({ pages }) => pages.listWhole(BIG, 100, [title, 1]) },
  { name: 'issues', ask: ({ issues }) => issues.list(BIG, 1000) },
  {
    name: 'issues, a rare project',
    ask: ({ issues }) => issues.list(BIG, 1000, undefined, { within: 'PRJ999' })
  },
  {
    name: 'issues, updated_since',
    ask: ({ issues }) => issues.list(BIG, 1000, undefined, { since: NOW - HOUR_MS })
  },
  {
    name: 'issues, q',
    ask: ({ issues }) => issues.list(BIG, 1000, undefined, { text: 'no such words' })
  },
  { name: 'projects', ask: ({ projects }) => projects.list(BIG, 1000) },
  {
    name: 'projects, one',
    ask: ({ projects }) => projects.list(BIG, 1000, undefined, { within: 'PRJ7' })
  },
  { name: 'spaces, from a cursor', ask: ({ spaces }) => spaces.list(BIG, 1000, ['SP5', 1]) },
  { name: "the feed's place", ask: ({ feed }) => feed.state(BIG) },
  {
    name: 'a page by hand',
    ask: ({ pages }) =>
      pages.save(BIG, 'by-hand', { spaceKey: 'SP1', pageId: 'by-hand', title: 'T', url: null })
  }
]

const copying: Hot[] = [
  {
    name: 'copy: pages that are new',
    ask: (store) =>
      store.inSteps(() => store.pages.saving(SMALL, SITE, pagesOf(9_000_000, 'new'), 4), true)
  },
  {
    name: 'copy: pages that changed',
    ask: (store) =>
      store.inSteps(() => store.pages.saving(BIG, SITE, pagesOf(1_000, 'changed'), 4), true)
  },
  {
    name: 'copy: pages that did not',
    ask: (store) =>
      store.inSteps(() => store.pages.saving(BIG, SITE, pagesOf(1_000, 'changed'), 5), true)
  },
  { name: 'copy: find', ask: ({ pages }) => pages.find(BIG, SITE, remoteIds(5_000)) },
  { name: 'copy: missing, a stride', ask: ({ pages }) => pages.missing(BIG, SITE, 4).next() },
  { name: 'copy: shown', ask: ({ pages }) => pages.shown(BIG, SITE, 3) },
  {
    name: 'copy: bury',
    ask: (store) =>
      store.inSteps(
        () => store.pages.burying(BIG, [{ id: 7, remoteId: '10000007', pass: 3 }]),
        true
      )
  },
  { name: 'copy: checkpoint', ask: ({ checkpoints }) => checkpoints.get(part) },
  {
    name: 'copy: move the checkpoint',
    ask: (store) => store.atomically(() => [store.checkpoints.saving(part, FIRST)])
  },
  { name: 'held deletions', ask: ({ checkpoints }) => checkpoints.held(BIG) },
  {
    name: 'confirm deletions',
    ask: (store) => store.atomically((tx) => [store.checkpoints.confirming(BIG, 'confluence')(tx)])
  },
  ...COLLECTIONS.map((name): Hot => ({
    name: `purge ${name}`,
    ask: (store) => store[name].purge(new Date(NOW - 30 * DAY_MS))
  }))
]

const running: Hot[] = [
  { name: 'runs: waiting', ask: ({ runs }) => runs.waiting(50) },
  { name: 'runs: next parked', ask: ({ runs }) => runs.nextParked() },
  { name: 'runs: claim', ask: async (store) => await under(store, async () => {}) },
  {
    name: 'runs: hold and count',
    ask: async (store) =>
      await under(
        store,
        async (run) =>
          await store.atomically(() => [store.runs.holding(run), store.runs.counting(run, tally)])
      )
  },
  {
    name: 'runs: renew, look',
    ask: async (store) =>
      await under(store, async (run) => {
        await store.runs.renew(run)
        await store.runs.isMine(run)
      })
  },
  {
    name: 'runs: end',
    ask: async (store) =>
      await under(store, async (run) => {
        await store.runs.end(run, tally, { state: 'succeeded' })
      })
  },
  { name: 'runs: queue', ask: ({ runs }) => runs.enqueue(1, 'jira') },
  { name: 'runs: find the active one', ask: ({ runs }) => runs.enqueue(1, 'jira') },
  { name: 'runs: get', ask: ({ runs }) => runs.get(40_000, 'confluence') },
  { name: 'runs: list', ask: ({ runs }) => runs.list(SMALL, 'confluence', 50) },
  {
    name: 'runs: end the active one',
    ask: ({ runs }) => runs.endActive(1, 'jira', { code: 'cancelled', detail: 'X.' })
  },
  { name: 'runs: purge', ask: ({ runs }) => runs.purge(new Date(NOW - 30 * DAY_MS)) },
  { name: 'connections: due', ask: ({ connections }) => connections.due(at, 100) },
  {
    name: 'connections: take a turn',
    ask: ({ connections }) => connections.takeTurn(SMALL, 'confluence', at, at)
  },
  {
    name: 'budgets: look',
    ask: ({ budgets }) =>
      budgets.look(['client 1 GET /wiki/api/v2/pages', 'client 2 GET /wiki/api/v2/pages', 'client'])
  },
  {
    name: 'budgets: block, spend',
    ask: async ({ budgets }) => {
      await budgets.block('client', 1, 'me', 1)
      await budgets.spend('client', 1, 1, 0)
    }
  },
  { name: 'budgets: purge', ask: ({ budgets }) => budgets.purge(NOW) }
]

const people: Hot[] = [
  { name: 'users: by id', ask: ({ users }) => users.get(SMALL) },
  { name: 'users: by address', ask: ({ users }) => users.find('person.77@example.com') },
  { name: 'users: first', ask: ({ users }) => users.first() },
  { name: 'users: list', ask: ({ users }) => users.list(100, SMALL) },
  { name: 'users: create', ask: ({ users }) => users.save('new@example.com', null) },
  { name: 'flows: start and sweep', ask: ({ flows }) => flows.start(flow, 100) },
  { name: 'flows: get', ask: ({ flows }) => flows.get('new') },
  { name: 'flows: claim', ask: ({ flows }) => flows.claim('new', 'code') },
  {
    name: 'flows: of somebody who leaves',
    ask: async (store) => {
      const forgetting = await store.flows.forgetting({ id: SMALL, email: 'a@b.co' })
      return await store.atomically((tx) => [forgetting(tx)])
    }
  },
  { name: 'connections: get', ask: ({ connections }) => connections.get(SMALL, 'confluence') },
  { name: 'connections: list', ask: ({ connections }) => connections.list(SMALL) },
  { name: 'connections: of a grant', ask: ({ connections }) => connections.ofGrant('grant-77') },
  {
    name: 'connections: scopes that others hold',
    ask: ({ connections }) => connections.heldScopes(SMALL, 'client', 'confluence')
  },
  { name: 'connections: history', ask: ({ history }) => history.list(SMALL, 50) },
  { name: 'connect', ask: ({ grants }) => grants.connect(consent('another'), connecting) },
  { name: 'disconnect', ask: ({ connections }) => connections.remove(SMALL, 'jira') }
]

const tokens: Hot[] = [
  { name: 'grants: get', ask: ({ grants }) => grants.get('grant-77') },
  {
    name: 'grants: begin a refresh',
    ask: ({ grants }) => grants.beginRefresh(attempt('grant-77'), 0, 30_000, at, '')
  },
  {
    name: 'grants: save a refresh',
    ask: async ({ grants }) => {
      await grants.beginRefresh(attempt('grant-78'), 0, 30_000, at)
      await grants.save(attempt('grant-78'), fresh)
    }
  },
  {
    name: 'grants: a failed refresh',
    ask: async ({ grants }) => {
      await grants.beginRefresh(attempt('grant-79'), 0, 30_000, at)
      await grants.fail(attempt('grant-79'), { to: 'degraded', reason: REASON, set: {} })
    }
  },
  { name: 'grants: who refreshes', ask: ({ grants }) => grants.refresher('grant-77') },
  { name: 'grants: due', ask: ({ grants }) => grants.due(at, 100) },
  {
    name: 'grants: due, behind one',
    ask: ({ grants }) => grants.due(at, 100, { id: 'grant-5', dueAt: new Date(NOW - HOUR_MS) })
  },
  { name: 'grants: forget old tokens', ask: ({ grants }) => grants.forgetPrevious(at) },
  {
    name: 'grants: warn',
    ask: ({ grants }) => grants.warnOf(7, new Date(NOW - 358 * DAY_MS), 100)
  },
  { name: 'grants: back from a wrong setting', ask: ({ grants }) => grants.configured('client') },
  { name: 'start: retry', ask: ({ grants }) => grants.retryMisconfigured() },
  { name: 'start: known clients', ask: ({ grants }) => grants.knowClients(['client'], REASON) },
  { name: 'start: grants per key', ask: ({ sealed }) => sealed.perKey() },
  { name: 'sealed: with a key', ask: ({ sealed }) => sealed.with('old', 100) },
  { name: 'sealed: otherwise', ask: ({ sealed }) => sealed.otherwise('k1', '', 100) },
  {
    name: 'sealed: otherwise, nothing left',
    ask: ({ sealed }) => sealed.otherwise('k1', 'grant-99', 100)
  },
  {
    name: 'sealed: replace',
    ask: async ({ grants, sealed }) => {
      const old = (await grants.get('grant-80')) as Grant
      await sealed.replace([{ id: old.id, old, fresh: { ...secrets } }])
    }
  },
  {
    name: 'keys: list, count',
    ask: async ({ keys }) => {
      await keys.list()
      await keys.addUses('k1', 1)
    }
  },
  {
    name: 'leases: take, look, release',
    ask: async (store) => {
      await store.atomically((tx) => [store.leases.taking(tx, NOBODY, 'me', 1_000)])
      await store.leases.holder(NOBODY)
      await store.atomically((tx) => [store.leases.releasing(tx, NOBODY, 'me')])
    }
  }
]

export const hot: Hot[] = [...lists, ...more, ...copying, ...running, ...people, ...tokens]
