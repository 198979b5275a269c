import t from 'tap'
import { PRODUCTS } from '../helper.ts'
import { MINUTE_MS, DAY_MS } from '../time.ts'
import type { JsonObject } from '../types.ts'
import { COLLECTIONS, createSyncFixture, getProduct, type SyncFixture } from './time-helper.ts'
import { getSyncScheduler } from '../jobs.ts'

const SIZES = { projects: 10, issues: 20, spaces: 10, pages: 20 }
const getChanges = async ({ app }: SyncFixture, since: string) =>
  await app.inject(`/users/1/changes?limit=1000&since=${since}`)
const getCursor = async ({ app }: SyncFixture): Promise<string> =>
  (await app.inject('/users/1/changes?limit=1000')).json().next

t.test(
  'Restores a reappearing item as the same row, and the change feed reports both changes',
  async (t) => {
    const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
    const since = await getCursor(fixture)
    for (const collection of COLLECTIONS) {
      const [name = ''] = await fixture.listNames(collection)
      const before = await fixture.findItem(collection, name)
      await fixture.remove(collection, name)
      await fixture.runSync(getProduct(collection))
      t.equal(await fixture.findItem(collection, name), undefined, `${collection}: gone`)
      await fixture.restore(collection, name)
      t.match(await fixture.runSync(getProduct(collection)), {
        state: 'succeeded',
        counts: { removed: 0, held: 0 }
      })
      const after = await fixture.findItem(collection, name)
      t.same(
        { ...after, updated_at: null },
        { ...before, updated_at: null },
        `${collection}: restored with the same values and id`
      )
      const changeList = (await getChanges(fixture, since))
        .json()
        .changes.filter(
          (each: JsonObject) => each.collection === collection && each.id === before?.id
        )
      t.match(changeList, [{ op: 'upsert', item: after }])
      t.equal(changeList.length, 1)
    }
  }
)

t.test('An incremental sync restores a page that left the trash', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  const [name = ''] = await fixture.listNames('pages')
  const { id } = (await fixture.findItem('pages', name)) ?? {}
  await fixture.sandbox.admin(`pages/${name}`, { status: 'trashed' })
  t.match(await fixture.runSync('confluence'), { counts: { removed: 1 } })
  await fixture.restore('pages', name)
  t.match(await fixture.runSync('confluence', 'incremental'), { counts: { added: 1 } })
  t.match(await fixture.findItem('pages', name), { id })
})

t.test('Deletions do not affect hand-posted rows', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  const [key = ''] = await fixture.listNames('projects')
  const [pageId = ''] = await fixture.listNames('pages')
  const { space_key: spaceKey } = (await fixture.findItem('pages', pageId)) ?? {}
  const posted: JsonObject[] = []
  for (const [url, payload] of [
    ['/jira/projects', { key, name: 'By hand' }],
    ['/jira/projects', { key: 'HAND', name: 'Nowhere else' }],
    ['/confluence/pages', { space_key: spaceKey, page_id: pageId, title: 'By hand' }]
  ] as const) {
    posted.push(
      (
        await fixture.app.inject({ method: 'POST', url, payload: { owner_id: 1, ...payload } })
      ).json()
    )
  }
  await fixture.remove('projects', key)
  await fixture.remove('pages', pageId)
  for (let i = 0; i < 3; i++) {
    for (const product of PRODUCTS) {
      t.match(await fixture.runSync(product), {
        counts: { removed: i === 0 ? (product === 'jira' ? 3 : 1) : 0 }
      })
    }
  }
  const rows = [
    ...(await fixture.app.inject('/jira/projects/1')).json(),
    ...(await fixture.app.inject('/confluence/pages/1?limit=1000')).json()
  ] as JsonObject[]
  t.same(
    rows
      .filter((row) => row.key === key || row.key === 'HAND' || row.page_id === pageId)
      .map(({ id }) => id)
      .sort(),
    posted.map(({ id }) => id).sort(),
    'only hand-posted rows remain'
  )
  for (const each of posted) {
    t.ok(
      rows.some((row) => JSON.stringify(row) === JSON.stringify(each)),
      'unchanged'
    )
  }
})

t.test(
  'Keeps tombstones for TOMBSTONE_DAYS; later readers of the change feed restart',
  async (t) => {
    const fixture = await createSyncFixture(t, {
      sandbox: { sizes: SIZES },
      env: { TOMBSTONE_DAYS: '7' }
    })
    const since = await getCursor(fixture)
    const names = await Promise.all(
      COLLECTIONS.map(async (collection) => (await fixture.listNames(collection))[0] ?? '')
    )
    for (const [i, collection] of COLLECTIONS.entries()) {
      await fixture.remove(collection, names[i] ?? '')
    }
    for (const product of PRODUCTS) await fixture.runSync(product)
    const listChanges = async () =>
      (await getChanges(fixture, since))
        .json()
        .changes?.map(({ op, collection }: JsonObject) => `${op} ${collection}`) ?? []
    const expected = ['delete projects', 'delete issues', 'delete spaces', 'delete pages']
    for (const days of [0, 6.9]) {
      fixture.advanceTime(days * DAY_MS)
      await getSyncScheduler(fixture.app).runNow()
      const list: string[] = await listChanges()
      for (const each of expected) t.ok(list.includes(each), `${each} after ${days} days`)
    }
    const read = (await getChanges(fixture, since)).json().next
    const remainingNames = await Promise.all(
      COLLECTIONS.map(async (collection) => await fixture.listNames(collection))
    )
    fixture.advanceTime(0.2 * DAY_MS)
    await getSyncScheduler(fixture.app).runNow()
    t.match((await getChanges(fixture, since)).json(), {
      status: 410,
      code: 'cursor_expired',
      cursor: /./
    })
    t.match(
      (await getChanges(fixture, read)).json(),
      { changes: [], more: false },
      'a reader that is up to date continues'
    )
    t.same(
      await Promise.all(COLLECTIONS.map(async (collection) => await fixture.listNames(collection))),
      remainingNames,
      'existing items stay'
    )
    // An item that reappears now is a new row.
    await fixture.restore('pages', names[3] ?? '')
    t.match(await fixture.runSync('confluence', 'incremental'), { counts: { added: 1 } })
    t.match((await getChanges(fixture, read)).json().changes, [
      { op: 'upsert', collection: 'pages', remote_id: names[3] }
    ])
  }
)

t.test(
  'Keeps the row of an item that moves to another space or project, or gets another key',
  async (t) => {
    const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
    const {
      sandbox: { admin }
    } = fixture
    for (const mode of ['incremental', 'full']) {
      fixture.advanceTime(MINUTE_MS)
      const count = async () =>
        await Promise.all(
          COLLECTIONS.map(async (collection) => (await fixture.listNames(collection)).length)
        )
      const before = await count()
      const [pageId = '', [issueId = ''], [fromKey, toKey = '']] = [
        (await fixture.listNames('pages'))[3],
        await fixture.listNames('issues'),
        await fixture.listNames('projects')
      ]
      const page = await fixture.findItem('pages', pageId)
      const issue = await fixture.findItem('issues', issueId)
      const space = (await fixture.app.inject('/confluence/spaces/1'))
        .json()
        .find(({ key }: JsonObject) => key !== page?.space_key)
      const project = issue?.project_key === toKey ? fromKey : toKey
      await admin(`pages/${pageId}`, { space_id: space.space_id })
      await admin(`issues/${issueId}`, { project })
      for (const product of PRODUCTS) {
        t.match(
          await fixture.runSync(product, mode),
          { state: 'succeeded', counts: { added: 0, changed: 1, removed: 0 } },
          `${mode} ${product}`
        )
      }
      t.match(await fixture.findItem('pages', pageId), { id: page?.id, space_key: space.key })
      t.match(await fixture.findItem('issues', issueId), {
        id: issue?.id,
        project_key: project,
        key: new RegExp(`^${project}-\\d+$`)
      })
      const [renamed = ''] = await fixture.listNames('projects')
      const { id } = (await fixture.findItem('projects', renamed)) ?? {}
      await admin(`projects/${renamed}`, { key: `NEW${mode}`.toUpperCase() })
      t.match(await fixture.runSync('jira', mode), {
        state: 'succeeded',
        counts: { added: 0, removed: 0 }
      })
      t.match(await fixture.findItem('projects', `NEW${mode}`.toUpperCase()), { id })
      t.same(await count(), before, 'no duplicates')
    }
    await fixture.runSync('jira')
    const keys = await fixture.listNames('projects')
    t.ok(
      (await fixture.app.inject('/jira/issues/1?limit=1000'))
        .json()
        .every(({ project_key: key }: JsonObject) => keys.includes(key)),
      'a full sync updates issues with the new project key'
    )
  }
)
