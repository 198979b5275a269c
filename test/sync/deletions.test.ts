import t from 'tap'
import { alone, COLLECTIONS, looks, place, productOf } from './time-helper.ts'

const SIZES = { projects: 10, issues: 20, spaces: 10, pages: 40 }
/** What goes with one of them. */
const WITH = { projects: 1 + 2, issues: 1, spaces: 1 + 4, pages: 1 }

t.test(
  'What was deleted is gone after one full listing, where Atlassian says that it is not there and that its neighbour is',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    for (const collection of COLLECTIONS) {
      const product = productOf(collection)
      const [name = ''] = await here.names(collection)
      const { next } = (await here.app.inject('/users/1/changes?limit=1000')).json()
      const { id } = (await here.item(collection, name)) ?? {}
      await here.remove(collection, name)
      await here.copy(product, 'incremental')
      t.ok(
        await here.item(collection, name),
        `${collection}: a copy of what has changed deletes nothing`
      )
      const log = await here.asked(async () => {
        t.match(await here.copy(product), {
          state: 'succeeded',
          error: null,
          counts: { removed: WITH[collection], held: 0 }
        })
      })
      t.same(looks(log, collection), [200, 404])
      t.equal(await here.item(collection, name), undefined, `${collection}: gone`)
      const { changes } = (await here.app.inject(`/users/1/changes?since=${next}`)).json()
      t.match(
        changes.find(
          (each: { id: number; collection: string }) =>
            each.id === id && each.collection === collection
        ),
        { op: 'delete', item: null },
        'and whoever follows the changes is told'
      )
      t.equal(changes.filter(({ op }: { op: string }) => op === 'delete').length, WITH[collection])
    }
  }
)

const DOUBTS = [
  { title: 'it is found', of: 'it', status: 200, looked: [200, 200], state: 'succeeded' },
  { title: 'it is refused', of: 'it', status: 403, looked: [200, 403], state: 'partial' },
  {
    title: 'its neighbour is not found either',
    of: 'neighbours',
    status: 404,
    looked: [404],
    state: 'succeeded'
  }
]

t.test('Where the look-up does not say so, two full listings without it have to', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  for (const collection of COLLECTIONS) {
    const product = productOf(collection)
    for (const { title, of, status, looked, state } of DOUBTS) {
      const names = await here.names(collection)
      const name = names.pop() ?? ''
      await here.remove(collection, name)
      for (const each of of === 'it' ? [name] : names) {
        await here.sandbox.admin('faults', {
          kind: 'status',
          status,
          body: {},
          match: { path: alone(here, collection, each) }
        })
      }
      const first = await here.asked(async () => {
        t.match(
          await here.copy(product),
          { state, counts: { removed: WITH[collection] - 1 } },
          `${collection}: ${title}`
        )
      })
      t.same(looks(first, collection), looked)
      t.ok(await here.item(collection, name), 'still there')
      await here.sandbox.admin('faults', undefined, 'DELETE')
      const second = await here.asked(async () => {
        t.match(await here.copy(product), { state: 'succeeded', counts: { removed: 1 } })
      })
      t.same(looks(second, collection), [], 'nothing has to be looked up the second time')
      t.equal(await here.item(collection, name), undefined, 'gone')
    }
  }
})

t.test(
  'Twenty items are looked up in a run, the others wait for the next full listing',
  async (t) => {
    const here = await place(t, {
      sandbox: { sizes: { projects: 1, issues: 200, spaces: 1, pages: 200 } }
    })
    for (const collection of ['issues', 'pages'] as const) {
      await here.remove(collection, ...(await here.names(collection)).slice(0, 30))
      const first = await here.asked(async () => {
        t.match(await here.copy(productOf(collection)), {
          state: 'succeeded',
          counts: { removed: 20 }
        })
      })
      t.same(looks(first, collection).sort(), [200, ...Array(20).fill(404)])
      t.equal((await here.names(collection)).length, 180)
      const second = await here.asked(async () => {
        t.match(await here.copy(productOf(collection)), {
          state: 'succeeded',
          counts: { removed: 10 }
        })
      })
      t.same(looks(second, collection), [])
      t.equal((await here.names(collection)).length, 170)
    }
  }
)

t.test('A page in the trash is gone, an archived one is not', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  const [trashed = '', archived = ''] = await here.names('pages')
  await here.sandbox.admin(`pages/${trashed}`, { status: 'trashed' })
  await here.sandbox.admin(`pages/${archived}`, { status: 'archived' })
  for (const removed of [1, 0, 0]) t.match(await here.copy('confluence'), { counts: { removed } })
  t.match(await here.item('pages', archived), { status: 'archived' })
  t.equal(await here.item('pages', trashed), undefined)
})
