import t from 'tap'
import {
  getItemPath,
  COLLECTIONS,
  listLookupStatuses,
  createSyncFixture,
  getProduct,
  type SyncFixture
} from './time-helper.ts'

const SIZES = { projects: 10, issues: 20, spaces: 10, pages: 40 }
/** Rows deleted together with one item. */
const DELETED_WITH_ITEM = { projects: 1 + 2, issues: 1, spaces: 1 + 4, pages: 1 }

t.test(
  'Deletes an item missing from one full listing if look-ups confirm it missing and its neighbour present',
  async (t) => {
    const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
    for (const collection of COLLECTIONS) {
      const product = getProduct(collection)
      const [name = ''] = await fixture.listNames(collection)
      const { next } = (await fixture.app.inject('/users/1/changes?limit=1000')).json()
      const { id } = (await fixture.findItem(collection, name)) ?? {}
      await fixture.remove(collection, name)
      await fixture.runSync(product, 'incremental')
      t.ok(
        await fixture.findItem(collection, name),
        `${collection}: an incremental sync deletes nothing`
      )
      const log = await fixture.recordCalls(async () => {
        t.match(await fixture.runSync(product), {
          state: 'succeeded',
          error: null,
          counts: { removed: DELETED_WITH_ITEM[collection], held: 0 }
        })
      })
      // Confluence returns a deleted page with its status.
      t.same(listLookupStatuses(log, collection), collection === 'pages' ? [] : [404])
      t.equal(await fixture.findItem(collection, name), undefined, `${collection}: gone`)
      const { changes } = (await fixture.app.inject(`/users/1/changes?since=${next}`)).json()
      t.match(
        changes.find(
          (each: { id: number; collection: string }) =>
            each.id === id && each.collection === collection
        ),
        { op: 'delete', item: null },
        'the change feed reports it'
      )
      t.equal(
        changes.filter(({ op }: { op: string }) => op === 'delete').length,
        DELETED_WITH_ITEM[collection]
      )
    }
  }
)

/** Calls that look up missing items in batches: the path, the listings before, an empty answer. */
const BATCH_LOOKUPS = {
  projects: { path: '/project/search', skip: 1, body: { values: [], total: 0, isLast: true } },
  issues: { path: '/issue/bulkfetch', skip: 0, body: { issues: [], issueErrors: [] } },
  spaces: { path: '/api/v2/spaces', skip: 1, body: { results: [], _links: {} } },
  pages: { path: '/api/v2/pages', skip: 1, body: { results: [], _links: {} } }
}
const INCONCLUSIVE_LOOKUPS = [
  { title: 'it is found', of: 'it', status: 200, lookupStatuses: [200], state: 'succeeded' },
  { title: 'it is refused', of: 'it', status: 403, lookupStatuses: [403], state: 'partial' },
  {
    title: 'the neighbour is missing too',
    of: 'batch',
    status: 200,
    lookupStatuses: [],
    state: 'succeeded'
  }
]

/** Confluence returns no status of a page that the account may not see. */
async function hidePage({ sandbox }: SyncFixture, page: string): Promise<void> {
  await sandbox.admin('restrict', { page, restricted: true })
}

t.test(
  'Keeps an item that is missing from every full listing until a look-up confirms it',
  async (t) => {
    const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
    for (const collection of COLLECTIONS) {
      const product = getProduct(collection)
      for (const { title, of, status, lookupStatuses, state } of INCONCLUSIVE_LOOKUPS) {
        const name = (await fixture.listNames(collection)).at(-1) ?? ''
        if (collection === 'pages') await hidePage(fixture, name)
        else await fixture.remove(collection, name)
        const { path, skip, body } = BATCH_LOOKUPS[collection]
        for (let listing = 0; listing < 3; listing++) {
          await fixture.sandbox.admin('faults', {
            kind: 'status',
            status,
            ...(of === 'it'
              ? { body: {}, match: { path: getItemPath(fixture, collection, name) } }
              : { body, skip, times: 1, match: { path } })
          })
          const log = await fixture.recordCalls(async () => {
            const run = await fixture.runSync(product)
            t.equal(run.state, state, `${collection}: ${title}`)
          })
          t.same(listLookupStatuses(log, collection), lookupStatuses)
          t.ok(
            await fixture.findItem(collection, name),
            `still there after ${listing + 1} listings`
          )
          await fixture.sandbox.admin('faults', undefined, 'DELETE')
        }
        t.match(await fixture.runSync(product), { state: 'succeeded', counts: { removed: 1 } })
        t.equal(await fixture.findItem(collection, name), undefined, 'gone')
      }
    }
  }
)

t.test('Looks up all missing items in batches, and a sample one by one', async (t) => {
  const fixture = await createSyncFixture(t, {
    sandbox: { sizes: { projects: 1, issues: 800, spaces: 1, pages: 1_600 } }
  })
  // Two answers about each batch of at most 99 issues or 249 pages, after the listing itself.
  const expected = {
    issues: { path: /\/bulkfetch$/, calls: 2 * Math.ceil(150 / 99) },
    pages: { path: /\/v2\/pages$/, calls: 2 * Math.ceil(300 / 249) + Math.ceil(1_300 / 250) }
  }
  for (const collection of ['issues', 'pages'] as const) {
    const site = fixture.sandbox.state.sites[0]
    const ids = Array.from(
      { length: collection === 'issues' ? 150 : 300 },
      (_, i) => site?.[collection].at(2 * i)?.id ?? ''
    )
    if (collection === 'issues') await fixture.remove(collection, ...ids)
    else for (const id of ids) await hidePage(fixture, id)
    const log = await fixture.recordCalls(async () => {
      t.match(await fixture.runSync(getProduct(collection)), {
        state: 'succeeded',
        counts: { removed: ids.length }
      })
    })
    t.same(listLookupStatuses(log, collection), Array(5).fill(404), 'the sample')
    const { path, calls } = expected[collection]
    t.equal(log.filter((call) => path.test(call.path)).length, calls)
  }
})

t.test('Deletes a trashed page and keeps an archived one', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  const [trashed = '', archived = ''] = await fixture.listNames('pages')
  await fixture.sandbox.admin(`pages/${trashed}`, { status: 'trashed' })
  await fixture.sandbox.admin(`pages/${archived}`, { status: 'archived' })
  for (const removed of [1, 0, 0]) {
    t.match(await fixture.runSync('confluence'), { counts: { removed } })
  }
  t.match(await fixture.findItem('pages', archived), { status: 'archived' })
  t.equal(await fixture.findItem('pages', trashed), undefined)
})
