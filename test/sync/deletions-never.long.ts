import t from 'tap'
import { Browser, PRODUCTS } from '../helper.ts'
import {
  COLLECTIONS,
  listLookupStatuses,
  createSyncFixture,
  getProduct,
  type CollectionName,
  type SyncFixture
} from './time-helper.ts'

/** Two pages of each list. */
const SIZES = { projects: 110, issues: 110, spaces: 260, pages: 260 }
const LISTING_CALLS: Record<CollectionName, Array<[path: string, calls: number]>> = {
  projects: [['/project/search', 2]],
  issues: [['/search/jql', 2]],
  spaces: [['/api/v2/spaces', 2]],
  pages: [['/api/v2/pages', 2]]
}

/** Deletes items at Atlassian during the fault, so that a wrong deletion would show. */
async function deleteFirstItems(fixture: SyncFixture): Promise<Record<CollectionName, string>> {
  const first = async (collection: CollectionName) => (await fixture.listNames(collection))[0] ?? ''
  const names = {
    projects: await first('projects'),
    issues: await first('issues'),
    spaces: await first('spaces'),
    pages: await first('pages')
  }
  for (const collection of COLLECTIONS) await fixture.remove(collection, names[collection])
  return names
}

t.test('An error at any page of a listing deletes nothing, however often it repeats', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  for (const collection of COLLECTIONS) {
    for (const [path, calls] of LISTING_CALLS[collection]) {
      for (let skip = 0; skip < calls; skip++) {
        const [name = ''] = await fixture.listNames(collection)
        await fixture.remove(collection, name)
        for (const status of [403, 404]) {
          await fixture.sandbox.admin('faults', {
            kind: 'status',
            status,
            match: { path },
            skip: status === 403 ? skip : 0
          })
          t.match(
            await fixture.runSync(getProduct(collection)),
            { state: 'partial', error: { code: 'upstream_refused' } },
            `${status} at ${path} ${skip + 1}`
          )
          t.ok(await fixture.findItem(collection, name), 'still there')
        }
        t.match(await fixture.runSync(getProduct(collection)), { state: 'succeeded' })
        t.equal(
          await fixture.findItem(collection, name),
          undefined,
          'deleted when the listing completes'
        )
      }
    }
  }
})

t.test('Incremental syncs delete nothing', async (t) => {
  const fixture = await createSyncFixture(t, {
    sandbox: { sizes: { projects: 10, issues: 20, spaces: 10, pages: 20 } }
  })
  const names = await deleteFirstItems(fixture)
  for (let i = 0; i < 3; i++) {
    for (const product of PRODUCTS) {
      t.match(await fixture.runSync(product, i === 0 ? 'due' : 'incremental'), {
        state: 'succeeded',
        counts: { removed: 0 }
      })
    }
  }
  for (const collection of COLLECTIONS) {
    t.ok(await fixture.findItem(collection, names[collection]), collection)
  }
})

/** @returns a function that ends the fault */
type FaultStarter = (fixture: SyncFixture) => Promise<() => Promise<unknown>>
interface AccessLoss {
  title: string
  begin: FaultStarter
  error: Record<(typeof PRODUCTS)[number], string>
  state?: string
}

const createFaultStarter =
  (fault: object): FaultStarter =>
  async ({ sandbox: { admin } }) => {
    await admin('faults', { kind: 'status', times: 1_000, match: { path: '/ex/*' }, ...fault })
    return async () => await admin('faults', undefined, 'DELETE')
  }
const hideEverything: FaultStarter = async (fixture) => {
  const names = {
    project: await fixture.listNames('projects'),
    space: await fixture.listNames('spaces')
  }
  const each = async (restricted: boolean) => {
    for (const [kind, list] of Object.entries(names)) {
      for (const name of list) await fixture.sandbox.admin('restrict', { [kind]: name, restricted })
    }
  }
  await each(true)
  return async () => {
    await each(false)
  }
}
const forBothProducts = (code: string) => ({ jira: code, confluence: code })

const ACCESS_LOSSES: AccessLoss[] = [
  {
    title: '403 to everything',
    begin: createFaultStarter({ status: 403 }),
    error: forBothProducts('upstream_refused')
  },
  {
    title: '404 to everything',
    begin: createFaultStarter({ status: 404 }),
    error: forBothProducts('upstream_refused')
  },
  {
    title: '410 to everything',
    begin: createFaultStarter({ status: 410 }),
    error: forBothProducts('upstream_refused')
  },
  {
    title: 'an insufficient scope',
    begin: createFaultStarter({
      status: 401,
      headers: { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' }
    }),
    error: forBothProducts('scope_missing')
  },
  {
    title: 'product access removed from the user',
    begin: async ({ sandbox: { admin } }) => {
      const access = async (granted: boolean) => {
        for (const product of PRODUCTS) {
          await admin('product-access', { site: 'acme', product, granted })
        }
      }
      await access(false)
      return async () => {
        await access(true)
      }
    },
    error: { jira: 'site_unreachable', confluence: 'upstream_refused' }
  },
  {
    title: 'the app uninstalled from the site',
    begin: async ({ app, sandbox: { admin } }) => {
      await admin('uninstall', { site: 'acme' })
      return async () => {
        for (const product of PRODUCTS) await new Browser(app).connect(product)
      }
    },
    error: forBothProducts('site_removed')
  },
  {
    title: 'an empty listing',
    begin: hideEverything,
    error: forBothProducts('listing_empty')
  }
]

t.test(
  'Lost access deletes nothing; items deleted meanwhile go after access returns',
  async (t) => {
    const fixture = await createSyncFixture(t, {
      sandbox: { sizes: { projects: 14, issues: 28, spaces: 14, pages: 56 } }
    })
    const rows = async () =>
      Object.fromEntries(
        await Promise.all(
          COLLECTIONS.map(async (name) => [name, (await fixture.listNames(name)).sort()] as const)
        )
      )
    for (const { title, begin, error, state = 'failed' } of ACCESS_LOSSES) {
      const before = await rows()
      const names = await deleteFirstItems(fixture)
      const end = await begin(fixture)
      for (const mode of ['full', 'full', 'due', 'full']) {
        for (const product of PRODUCTS) {
          t.match(
            await fixture.runSync(product, mode),
            { state, error: { code: error[product] }, counts: { removed: 0 } },
            `${product}, ${title}`
          )
        }
      }
      t.same(await rows(), before, `nothing is deleted after: ${title}`)
      await end()
      for (const product of PRODUCTS) {
        // A new consent starts a sync, which the first of these requests may join.
        for (let i = 0; i < 2; i++) {
          t.match(
            await fixture.runSync(product),
            { state: 'succeeded', counts: { held: 0 } },
            product
          )
        }
      }
      const after = await rows()
      for (const collection of COLLECTIONS) {
        t.notOk(
          after[collection]?.includes(names[collection]),
          `${collection}: deleted items are gone`
        )
      }
      t.same(
        [after.projects?.length, after.spaces?.length],
        [(before.projects?.length ?? 0) - 1, (before.spaces?.length ?? 0) - 1],
        'and nothing else'
      )
    }
  }
)

t.test('A listing that ends early deletes nothing: what it lacks is looked up', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  const before = await Promise.all(
    COLLECTIONS.map(async (collection) => await fixture.listNames(collection))
  )
  const lastPages = {
    projects: [
      '/project/search',
      { startAt: 100, maxResults: 100, total: 110, isLast: true, values: [] }
    ],
    issues: ['/search/jql', { issues: [], isLast: true }],
    spaces: ['/api/v2/spaces', { results: [], _links: {} }],
    pages: ['/api/v2/pages', { results: [], _links: {} }]
  } as const
  for (let listing = 0; listing < 2; listing++) {
    for (const collection of COLLECTIONS) {
      const [path, body] = lastPages[collection]
      await fixture.sandbox.admin('faults', {
        kind: 'status',
        status: 200,
        body,
        match: { path },
        skip: 1
      })
      const log = await fixture.recordCalls(async () => {
        t.match(await fixture.runSync(getProduct(collection)), {
          state: 'succeeded',
          counts: { removed: 0 }
        })
      })
      t.same(listLookupStatuses(log, collection), [], 'one batch finds them all')
    }
  }
  t.same(
    await Promise.all(COLLECTIONS.map(async (collection) => await fixture.listNames(collection))),
    before
  )
})
