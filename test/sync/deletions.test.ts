import t from 'tap'
import {
  getItemPath,
  COLLECTIONS,
  listLookupStatuses,
  createSyncFixture,
  getProduct
} from './time-helper.ts'

const SIZES = { projects: 10, issues: 20, spaces: 10, pages: 40 }
/** Rows deleted together with one item. */
const DELETED_WITH_ITEM = { projects: 1 + 2, issues: 1, spaces: 1 + 4, pages: 1 }

t.test(
  'Deletes an item missing from one full listing if Atlassian confirms it missing and its neighbour present',
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
      t.same(listLookupStatuses(log, collection), [200, 404])
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

const INCONCLUSIVE_LOOKUPS = [
  { title: 'it is found', of: 'it', status: 200, lookupStatuses: [200, 200], state: 'succeeded' },
  { title: 'it is refused', of: 'it', status: 403, lookupStatuses: [200, 403], state: 'partial' },
  {
    title: 'the neighbour is missing too',
    of: 'neighbours',
    status: 404,
    lookupStatuses: [404],
    state: 'succeeded'
  }
]

t.test(
  'Without a confirming look-up, deletes an item after two full listings without it',
  async (t) => {
    const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
    for (const collection of COLLECTIONS) {
      const product = getProduct(collection)
      for (const { title, of, status, lookupStatuses, state } of INCONCLUSIVE_LOOKUPS) {
        const names = await fixture.listNames(collection)
        const name = names.pop() ?? ''
        await fixture.remove(collection, name)
        for (const each of of === 'it' ? [name] : names) {
          await fixture.sandbox.admin('faults', {
            kind: 'status',
            status,
            body: {},
            match: { path: getItemPath(fixture, collection, each) }
          })
        }
        const first = await fixture.recordCalls(async () => {
          t.match(
            await fixture.runSync(product),
            { state, counts: { removed: DELETED_WITH_ITEM[collection] - 1 } },
            `${collection}: ${title}`
          )
        })
        t.same(listLookupStatuses(first, collection), lookupStatuses)
        t.ok(await fixture.findItem(collection, name), 'still there')
        await fixture.sandbox.admin('faults', undefined, 'DELETE')
        const second = await fixture.recordCalls(async () => {
          t.match(await fixture.runSync(product), { state: 'succeeded', counts: { removed: 1 } })
        })
        t.same(listLookupStatuses(second, collection), [], 'the second listing needs no look-up')
        t.equal(await fixture.findItem(collection, name), undefined, 'gone')
      }
    }
  }
)

t.test(
  'Looks up twenty missing items per run; the others wait for the next full listing',
  async (t) => {
    const fixture = await createSyncFixture(t, {
      sandbox: { sizes: { projects: 1, issues: 200, spaces: 1, pages: 200 } }
    })
    for (const collection of ['issues', 'pages'] as const) {
      await fixture.remove(collection, ...(await fixture.listNames(collection)).slice(0, 30))
      const first = await fixture.recordCalls(async () => {
        t.match(await fixture.runSync(getProduct(collection)), {
          state: 'succeeded',
          counts: { removed: 20 }
        })
      })
      t.same(listLookupStatuses(first, collection).sort(), [200, ...Array(20).fill(404)])
      t.equal((await fixture.listNames(collection)).length, 180)
      const second = await fixture.recordCalls(async () => {
        t.match(await fixture.runSync(getProduct(collection)), {
          state: 'succeeded',
          counts: { removed: 10 }
        })
      })
      t.same(listLookupStatuses(second, collection), [])
      t.equal((await fixture.listNames(collection)).length, 170)
    }
  }
)

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
