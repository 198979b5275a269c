import t, { type Test } from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { Browser, waitForRun, PRODUCTS } from '../helper.ts'
import { runSync, listItems, COLLECTIONS_BY_PRODUCT, type CollectionName } from './faults-helper.ts'

const OVERLONG_TEXT = 'x'.repeat(8_193)
const NAME_FIELDS = {
  projects: 'name',
  issues: 'fields.summary',
  spaces: 'name',
  pages: 'title'
} as const
const COLLECTIONS = Object.keys(NAME_FIELDS) as CollectionName[]

/** A service with both products copied; corruptions set later affect later syncs. */
async function startSyncedTestService(
  t: Test,
  sizes: object,
  env: NodeJS.ProcessEnv = {}
): Promise<TestService> {
  const service = await startTestService(
    t,
    { SYNC_INTERVAL: '0', ATLASSIAN_HOURLY_POINTS: '100000000', ...env },
    { sizes: { projects: 6, issues: 12, spaces: 6, pages: 12, ...sizes }, indexLagMs: 0 }
  )
  for (const [i, product] of PRODUCTS.entries()) {
    await new Browser(service.app).connect(product)
    t.match(await waitForRun(service.app, product, i + 1), { state: 'succeeded' })
  }
  return service
}

const getItemId = ({ sandbox }: TestService, name: CollectionName, position: number) =>
  sandbox.state.sites[0]?.[name].at(position)?.id ?? ''
const getProduct = (name: CollectionName) =>
  COLLECTIONS_BY_PRODUCT.jira.includes(name) ? 'jira' : 'confluence'
const corruptItem = async (
  { sandbox }: TestService,
  collection: CollectionName,
  id: string,
  fields: object | null
) => await sandbox.admin('spoil', { collection, id, fields })

for (const name of COLLECTIONS) {
  t.test(
    `Keeps one of the ${name} that becomes invalid unchanged over any number of listings`,
    async (t) => {
      const service = await startSyncedTestService(t, {})
      const before = await listItems(service, name)
      await corruptItem(service, name, getItemId(service, name, 3), {
        [NAME_FIELDS[name]]: OVERLONG_TEXT
      })
      for (const mode of ['full', 'full', 'incremental', 'full']) {
        t.match(
          await runSync({ service, product: getProduct(name) }, mode),
          {
            state: 'partial',
            error: { code: 'items_skipped' },
            counts: { removed: 0, held: 0, changed: 0 }
          },
          mode
        )
      }
      t.same(await listItems(service, name), before)
      await corruptItem(service, name, getItemId(service, name, 3), null)
      t.match(await runSync({ service, product: getProduct(name) }), {
        state: 'succeeded',
        counts: { added: 0, changed: 0, removed: 0, skipped: 0 }
      })
    }
  )

  t.test(`Stores two of the ${name} with one id as one, and the others correctly`, async (t) => {
    const service = await startSyncedTestService(t, {})
    const [one, other] = [getItemId(service, name, 1), getItemId(service, name, 3)]
    await corruptItem(service, name, other, { id: one })
    for (let i = 0; i < 2; i++) {
      t.match(await runSync({ service, product: getProduct(name) }), {
        counts: { added: 0, held: 0 }
      })
    }
    const rows = await listItems(service, name)
    t.equal(
      new Set(rows.map((row) => row.issue_id ?? row.space_id ?? row.page_id ?? row.id)).size,
      rows.length
    )
    await corruptItem(service, name, other, null)
    for (let i = 0; i < 2; i++) {
      t.match(await runSync({ service, product: getProduct(name) }), { state: 'succeeded' })
    }
    t.equal(
      (await listItems(service, name)).length,
      12 / (COLLECTIONS_BY_PRODUCT[getProduct(name)][0] === name ? 2 : 1)
    )
  })

  t.test(
    `Skips and counts values among the ${name} that are not objects, and copies the others`,
    async (t) => {
      const service = await startSyncedTestService(t, {})
      const path = {
        projects: '/project/search',
        issues: '/search/jql',
        spaces: '/api/v2/spaces',
        pages: '/api/v2/pages'
      }[name]
      const odd = [null, 7, 'x', [], true]
      await service.sandbox.admin('faults', {
        kind: 'status',
        status: 200,
        body: { values: odd, issues: odd, results: odd, total: 5, isLast: true, _links: {} },
        match: { path }
      })
      const run = await runSync({ service, product: getProduct(name) })
      t.match(run, {
        state: 'partial',
        counts: { skipped: 5, added: 0, removed: 0 },
        failures: Array(5).fill({
          collection: name,
          remote_id: null,
          code: 'item_invalid',
          detail: /not an object/
        })
      })
      t.match(await runSync({ service, product: getProduct(name) }), {
        state: 'succeeded',
        counts: { added: 0, removed: 0, skipped: 0 }
      })
    }
  )
}

t.test(
  'Names the first hundred invalid items and counts all; copies all once they are valid',
  async (t) => {
    const service = await startTestService(
      t,
      { SYNC_INTERVAL: '0' },
      { sizes: { projects: 1, issues: 130, spaces: 1, pages: 130 }, indexLagMs: 0 }
    )
    const all = [...Array(120).keys()].flatMap(
      (i) =>
        [
          ['issues', getItemId(service, 'issues', i + 5)],
          ['pages', getItemId(service, 'pages', i + 5)]
        ] as Array<[CollectionName, string]>
    )
    for (const [name, id] of all) {
      await corruptItem(service, name, id, { [NAME_FIELDS[name]]: OVERLONG_TEXT })
    }
    for (const [i, product] of PRODUCTS.entries()) {
      await new Browser(service.app).connect(product)
      const run = await waitForRun(service.app, product, i + 1)
      t.match(run, {
        state: 'partial',
        error: { code: 'items_skipped', detail: /^120 items/ },
        counts: { added: 11, skipped: 120 }
      })
      t.equal(run.failures.length, 100)
    }
    for (const [name, id] of all) await corruptItem(service, name, id, null)
    for (const product of PRODUCTS) {
      t.match(
        await runSync({ service, product }, 'incremental'),
        { state: 'succeeded', counts: { added: 120, skipped: 0 } },
        'all of them in one run'
      )
      t.match(
        await runSync({ service, product }),
        { state: 'succeeded', counts: { added: 0, removed: 0, skipped: 0 } },
        'nothing is left for the next full sync'
      )
    }
    for (const [name, id] of all) {
      await corruptItem(service, name, id, { [NAME_FIELDS[name]]: OVERLONG_TEXT })
    }
    for (const product of PRODUCTS) {
      for (let i = 0; i < 3; i++) {
        t.match(
          await runSync({ service, product }),
          { state: 'partial', counts: { removed: 0, held: 0, skipped: 120 } },
          'an invalid item does not count as deleted'
        )
      }
    }
  }
)

t.test('Counts an invalid item that just changed as one failure, not two', async (t) => {
  const service = await startSyncedTestService(t, {})
  for (const name of ['issues', 'pages'] as const) {
    const id = getItemId(service, name, 3)
    await service.sandbox.admin(`${name}/${id}`, {
      [name === 'issues' ? 'summary' : 'title']: 'Changed'
    })
    await corruptItem(service, name, id, { [NAME_FIELDS[name]]: OVERLONG_TEXT })
    for (const time of ['first', 'second']) {
      const run = await runSync({ service, product: getProduct(name) }, 'incremental')
      t.match(
        run,
        {
          state: 'partial',
          counts: { skipped: 1 },
          failures: [{ collection: name, remote_id: id }]
        },
        `${name}, the ${time} time`
      )
      t.equal(run.failures.length, 1)
    }
    await corruptItem(service, name, id, null)
    t.match(await runSync({ service, product: getProduct(name) }, 'incremental'), {
      state: 'succeeded',
      counts: { changed: 1, skipped: 0 }
    })
  }
})

t.test('Skips only the page whose body is too large', async (t) => {
  const service = await startSyncedTestService(t, {})
  const id = getItemId(service, 'pages', 3)
  await corruptItem(service, 'pages', id, {
    body: { storage: { value: 'y'.repeat(4 * 1024 * 1024 + 1) } }
  })
  t.equal(
    (
      await service.app.inject({
        method: 'PATCH',
        url: '/users/1/connections/confluence',
        payload: { page_bodies: true }
      })
    ).statusCode,
    200
  )
  t.match(await waitForRun(service.app, 'confluence', 3), {
    state: 'partial',
    error: { code: 'items_skipped' },
    counts: { changed: 11, skipped: 1, removed: 0 },
    failures: [{ remote_id: id, detail: /^Its body is longer than 4194304 characters\.$/ }]
  })
  await corruptItem(service, 'pages', id, null)
  t.match(await runSync({ service, product: 'confluence' }, 'incremental'), {
    state: 'succeeded',
    counts: { changed: 1, skipped: 0 }
  })
})
