import t from 'tap'
import { trail } from '../audit/helper.ts'
import { ACME } from '../sandbox/helper.ts'
import {
  COLLECTIONS,
  looks,
  place,
  productOf,
  PRODUCTS,
  until,
  type Collection,
  type Place,
  type Row
} from './time-helper.ts'

/** Each project has one issue, and each space one page, so that all lists shrink by the same share. */
const SIZES = { projects: 20, issues: 20, spaces: 20, pages: 20 }
const PARENTS = { jira: 'projects', confluence: 'spaces' } as const

const held = async (here: Place, product: keyof typeof PARENTS) =>
  (await here.connection(product)).held_deletions
    .map(({ collection, site, count }: Row) => `${count} ${collection} of ${site}`)
    .sort()
const confirm = async ({ app }: Place, product: keyof typeof PARENTS) =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/confirm-deletions` })
const counts = async (here: Place) =>
  await Promise.all(COLLECTIONS.map(async (collection) => (await here.names(collection)).length))
/** Deletes so many projects or spaces with what is in them. */
async function shrink(here: Place, product: keyof typeof PARENTS, by: number): Promise<string[]> {
  const names = (await here.names(PARENTS[product])).slice(0, by)
  await here.remove(PARENTS[product], ...names)
  return names
}
const partsOf = (product: keyof typeof PARENTS): Collection[] =>
  COLLECTIONS.filter((collection) => productOf(collection) === product)

t.test(
  'A list that is a fifth shorter is believed, one that is shorter than that deletes nothing',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    for (const product of PRODUCTS) {
      await shrink(here, product, 4)
      t.match(await here.copy(product), { state: 'succeeded', counts: { removed: 8, held: 0 } })
      t.same(await held(here, product), [])
      t.match((await confirm(here, product)).json(), { status: 409, code: 'no_held_deletions' })
      const before = await counts(here)
      await shrink(here, product, 4)
      const log = await here.asked(async () => {
        const run = await here.copy(product)
        t.match(run, {
          state: 'partial',
          error: {
            code: 'deletions_held',
            detail: /^8 deletions are held back.*confirm-deletions\.$/
          },
          failures: [],
          counts: { removed: 0, held: 8 }
        })
      })
      t.same(
        partsOf(product).flatMap((collection) => looks(log, collection)),
        [],
        'nothing is looked up'
      )
      t.same(await counts(here), before)
      t.same(
        await held(here, product),
        partsOf(product)
          .map((collection) => `4 ${collection} of ${ACME}`)
          .sort()
      )
      t.same(
        await held(here, product === 'jira' ? 'confluence' : 'jira'),
        [],
        'the other product has nothing to do with it'
      )
      t.match(await here.copy(product, 'incremental'), {
        state: 'succeeded',
        counts: { removed: 0 }
      })
      t.same(
        await held(here, product),
        partsOf(product)
          .map((collection) => `4 ${collection} of ${ACME}`)
          .sort(),
        'until a full listing'
      )
      t.match(
        await here.copy(product),
        { state: 'succeeded', error: null, counts: { removed: 8, held: 0 } },
        'and the next one agrees'
      )
      t.same(await held(here, product), [])
    }
  }
)

t.test('What is back when everything is listed again was never gone', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  for (const product of PRODUCTS) {
    const before = await counts(here)
    const names = await shrink(here, product, 10)
    t.match(await here.copy(product), { state: 'partial', counts: { held: 20 } })
    await here.restore(PARENTS[product], ...names)
    t.match(await here.copy(product), {
      state: 'succeeded',
      counts: { added: 0, removed: 0, held: 0 }
    })
    t.same(await held(here, product), [])
    t.same(await counts(here), before)
    t.equal((await confirm(here, product)).statusCode, 409)
  }
})

t.test('A list that shrinks again while deletions are held is held again', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  const [before, names] = [await counts(here), await here.names('spaces')]
  for (const gone of [5, 10]) {
    await here.remove('spaces', ...names.slice(gone - 5, gone))
    t.match(await here.copy('confluence'), {
      state: 'partial',
      error: { code: 'deletions_held' },
      counts: { removed: 0, held: 2 * gone }
    })
  }
  t.same(await counts(here), before)
  t.match(await here.copy('confluence'), { state: 'succeeded', counts: { removed: 20, held: 0 } })
})

t.test('A listing that fails does not decide', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  await shrink(here, 'confluence', 10)
  t.match(await here.copy('confluence'), { counts: { held: 20 } })
  for (let i = 0; i < 2; i++) {
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 403,
      times: 2,
      match: { path: '/api/v2/' }
    })
    t.match(await here.copy('confluence'), { state: 'failed', counts: { removed: 0 } })
  }
  t.same(await held(here, 'confluence'), [`10 pages of ${ACME}`, `10 spaces of ${ACME}`])
})

t.test('Whoever confirms starts a full copy that decides on each item', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  const [first = ''] = await shrink(here, 'confluence', 10)
  t.match(await here.copy('confluence'), { counts: { held: 20 } })
  // One of them is there after all.
  await here.restore('spaces', first)
  const answer = await confirm(here, 'confluence')
  t.match(answer.json(), { product: 'confluence', held_deletions: [] })
  t.match((await trail(here.app)).at(-1), {
    action: 'deletions_confirmed',
    user_id: 1,
    product: 'confluence',
    request_id: answer.headers['x-request-id']
  })
  await until(
    async () =>
      (await here.app.inject('/integrations/confluence/sync/runs?limit=1')).json()[0].state ===
      'succeeded'
  )
  t.match((await here.app.inject('/integrations/confluence/sync/runs?limit=1')).json(), [
    { mode: 'full', counts: { removed: 18, held: 0 } }
  ])
  t.ok(await here.item('spaces', first))
  t.same((await counts(here)).slice(2), [11, 11])
})

t.test('With SYNC_SHRINK_PERCENT=100 nothing is held, with 0 everything is', async (t) => {
  const all = await place(t, { sandbox: { sizes: SIZES }, env: { SYNC_SHRINK_PERCENT: '100' } })
  await shrink(all, 'confluence', 19)
  t.match(await all.copy('confluence'), { state: 'succeeded', counts: { removed: 38, held: 0 } })
  const none = await place(t, { sandbox: { sizes: SIZES }, env: { SYNC_SHRINK_PERCENT: '0' } })
  await shrink(none, 'confluence', 1)
  t.match(await none.copy('confluence'), { state: 'partial', counts: { removed: 0, held: 2 } })
})
