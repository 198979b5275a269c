import t from 'tap'
import { readAuditTrail } from '../audit/helper.ts'
import { PRODUCTS, waitFor } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import type { JsonObject } from '../types.ts'
import {
  COLLECTIONS,
  listLookupStatuses,
  createSyncFixture,
  getProduct,
  type CollectionName,
  type SyncFixture
} from './time-helper.ts'

/** One issue per project and one page per space, so that all lists shrink by the same share. */
const SIZES = { projects: 20, issues: 20, spaces: 20, pages: 20 }
const PARENT_COLLECTIONS = { jira: 'projects', confluence: 'spaces' } as const

const listHeldDeletions = async (fixture: SyncFixture, product: keyof typeof PARENT_COLLECTIONS) =>
  (await fixture.getConnection(product)).held_deletions
    .map(({ collection, site, count }: JsonObject) => `${count} ${collection} of ${site}`)
    .sort()
const confirmDeletions = async ({ app }: SyncFixture, product: keyof typeof PARENT_COLLECTIONS) =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/confirm-deletions` })
const countItems = async (fixture: SyncFixture) =>
  await Promise.all(
    COLLECTIONS.map(async (collection) => (await fixture.listNames(collection)).length)
  )
/** Deletes the given number of projects or spaces with their contents. */
async function removeParents(
  fixture: SyncFixture,
  product: keyof typeof PARENT_COLLECTIONS,
  by: number
): Promise<string[]> {
  const names = (await fixture.listNames(PARENT_COLLECTIONS[product])).slice(0, by)
  await fixture.remove(PARENT_COLLECTIONS[product], ...names)
  return names
}
const listCollections = (product: keyof typeof PARENT_COLLECTIONS): CollectionName[] =>
  COLLECTIONS.filter((collection) => getProduct(collection) === product)

t.test('Accepts a list that is a fifth shorter; a larger loss deletes nothing', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  for (const product of PRODUCTS) {
    await removeParents(fixture, product, 4)
    t.match(await fixture.runSync(product), {
      state: 'succeeded',
      counts: { removed: 8, held: 0 }
    })
    t.same(await listHeldDeletions(fixture, product), [])
    t.match((await confirmDeletions(fixture, product)).json(), {
      status: 409,
      code: 'no_held_deletions'
    })
    const before = await countItems(fixture)
    await removeParents(fixture, product, 4)
    const log = await fixture.recordCalls(async () => {
      const run = await fixture.runSync(product)
      t.match(run, {
        state: 'partial',
        error: {
          code: 'deletions_held',
          detail: /^8 deletions are held, .*confirm-deletions\.$/
        },
        failures: [],
        counts: { removed: 0, held: 8 }
      })
    })
    t.same(
      listCollections(product).flatMap((collection) => listLookupStatuses(log, collection)),
      [],
      'nothing is looked up'
    )
    t.same(await countItems(fixture), before)
    t.same(
      await listHeldDeletions(fixture, product),
      listCollections(product)
        .map((collection) => `4 ${collection} of ${ACME}`)
        .sort()
    )
    t.same(
      await listHeldDeletions(fixture, product === 'jira' ? 'confluence' : 'jira'),
      [],
      'the other product is not affected'
    )
    t.match(await fixture.runSync(product, 'incremental'), {
      state: 'succeeded',
      counts: { removed: 0 }
    })
    t.same(
      await listHeldDeletions(fixture, product),
      listCollections(product)
        .map((collection) => `4 ${collection} of ${ACME}`)
        .sort(),
      'until a full listing'
    )
    t.match(
      await fixture.runSync(product),
      { state: 'succeeded', error: null, counts: { removed: 8, held: 0 } },
      'the next listing confirms it'
    )
    t.same(await listHeldDeletions(fixture, product), [])
  }
})

t.test('Keeps an item that reappears in the next full listing', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  for (const product of PRODUCTS) {
    const before = await countItems(fixture)
    const names = await removeParents(fixture, product, 10)
    t.match(await fixture.runSync(product), { state: 'partial', counts: { held: 20 } })
    await fixture.restore(PARENT_COLLECTIONS[product], ...names)
    t.match(await fixture.runSync(product), {
      state: 'succeeded',
      counts: { added: 0, removed: 0, held: 0 }
    })
    t.same(await listHeldDeletions(fixture, product), [])
    t.same(await countItems(fixture), before)
    t.equal((await confirmDeletions(fixture, product)).statusCode, 409)
  }
})

t.test('Holds deletions again when a list shrinks while others are held', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  const [before, names] = [await countItems(fixture), await fixture.listNames('spaces')]
  for (const deletedCount of [5, 10]) {
    await fixture.remove('spaces', ...names.slice(deletedCount - 5, deletedCount))
    t.match(await fixture.runSync('confluence'), {
      state: 'partial',
      error: { code: 'deletions_held' },
      counts: { removed: 0, held: 2 * deletedCount }
    })
  }
  t.same(await countItems(fixture), before)
  t.match(await fixture.runSync('confluence'), {
    state: 'succeeded',
    counts: { removed: 20, held: 0 }
  })
})

t.test('A failed listing decides nothing about held deletions', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  await removeParents(fixture, 'confluence', 10)
  t.match(await fixture.runSync('confluence'), { counts: { held: 20 } })
  for (let i = 0; i < 2; i++) {
    await fixture.sandbox.admin('faults', {
      kind: 'status',
      status: 403,
      times: 2,
      match: { path: '/api/v2/' }
    })
    t.match(await fixture.runSync('confluence'), { state: 'failed', counts: { removed: 0 } })
  }
  t.same(await listHeldDeletions(fixture, 'confluence'), [
    `10 pages of ${ACME}`,
    `10 spaces of ${ACME}`
  ])
})

t.test('Confirming starts a full sync that decides on each item', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  const [first = ''] = await removeParents(fixture, 'confluence', 10)
  t.match(await fixture.runSync('confluence'), { counts: { held: 20 } })
  // One of the held items exists again.
  await fixture.restore('spaces', first)
  const answer = await confirmDeletions(fixture, 'confluence')
  t.match(answer.json(), { product: 'confluence', held_deletions: [] })
  t.match((await readAuditTrail(fixture.app)).at(-1), {
    action: 'deletions_confirmed',
    user_id: 1,
    product: 'confluence',
    request_id: answer.headers['x-request-id']
  })
  await waitFor(
    async () =>
      (await fixture.app.inject('/integrations/confluence/sync/runs?limit=1')).json()[0].state ===
      'succeeded'
  )
  t.match((await fixture.app.inject('/integrations/confluence/sync/runs?limit=1')).json(), [
    { mode: 'full', counts: { removed: 18, held: 0 } }
  ])
  t.ok(await fixture.findItem('spaces', first))
  t.same((await countItems(fixture)).slice(2), [11, 11])
})

t.test('SYNC_SHRINK_PERCENT=100 holds no deletions, 0 holds all', async (t) => {
  const all = await createSyncFixture(t, {
    sandbox: { sizes: SIZES },
    env: { SYNC_SHRINK_PERCENT: '100' }
  })
  await removeParents(all, 'confluence', 19)
  t.match(await all.runSync('confluence'), { state: 'succeeded', counts: { removed: 38, held: 0 } })
  const none = await createSyncFixture(t, {
    sandbox: { sizes: SIZES },
    env: { SYNC_SHRINK_PERCENT: '0' }
  })
  await removeParents(none, 'confluence', 1)
  t.match(await none.runSync('confluence'), { state: 'partial', counts: { removed: 0, held: 2 } })
})
