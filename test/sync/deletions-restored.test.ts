import t from 'tap'
import {
  COLLECTIONS,
  DAY_MS,
  MINUTE_MS,
  place,
  productOf,
  PRODUCTS,
  type Place,
  type Row
} from './time-helper.ts'

const SIZES = { projects: 10, issues: 20, spaces: 10, pages: 20 }
const changes = async ({ app }: Place, since: string) =>
  await app.inject(`/users/1/changes?limit=1000&since=${since}`)
const cursor = async ({ app }: Place): Promise<string> =>
  (await app.inject('/users/1/changes?limit=1000')).json().next

t.test(
  'What shows up again is back, as the same row, and whoever follows the changes is told both',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    const since = await cursor(here)
    for (const collection of COLLECTIONS) {
      const [name = ''] = await here.names(collection)
      const before = await here.item(collection, name)
      await here.remove(collection, name)
      await here.copy(productOf(collection))
      t.equal(await here.item(collection, name), undefined, `${collection}: gone`)
      await here.restore(collection, name)
      t.match(await here.copy(productOf(collection)), {
        state: 'succeeded',
        counts: { removed: 0, held: 0 }
      })
      const after = await here.item(collection, name)
      t.same(
        { ...after, updated_at: null },
        { ...before, updated_at: null },
        `${collection}: back as it was, and with its id`
      )
      const told = (await changes(here, since))
        .json()
        .changes.filter((each: Row) => each.collection === collection && each.id === before?.id)
      t.match(told, [{ op: 'upsert', item: after }])
      t.equal(told.length, 1)
    }
  }
)

t.test(
  'A page that comes back from the trash is back with the next copy of what has changed',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    const [name = ''] = await here.names('pages')
    const { id } = (await here.item('pages', name)) ?? {}
    await here.sandbox.admin(`pages/${name}`, { status: 'trashed' })
    t.match(await here.copy('confluence'), { counts: { removed: 1 } })
    await here.restore('pages', name)
    t.match(await here.copy('confluence', 'incremental'), { counts: { added: 1 } })
    t.match(await here.item('pages', name), { id })
  }
)

t.test('What was posted by hand is not touched, whatever is deleted beside it', async (t) => {
  const here = await place(t, { sandbox: { sizes: SIZES } })
  const [key = ''] = await here.names('projects')
  const [pageId = ''] = await here.names('pages')
  const { space_key: spaceKey } = (await here.item('pages', pageId)) ?? {}
  const posted: Row[] = []
  for (const [url, payload] of [
    ['/jira/projects', { key, name: 'By hand' }],
    ['/jira/projects', { key: 'HAND', name: 'Nowhere else' }],
    ['/confluence/pages', { space_key: spaceKey, page_id: pageId, title: 'By hand' }]
  ] as const) {
    posted.push(
      (await here.app.inject({ method: 'POST', url, payload: { owner_id: 1, ...payload } })).json()
    )
  }
  await here.remove('projects', key)
  await here.remove('pages', pageId)
  for (let i = 0; i < 3; i++) {
    for (const product of PRODUCTS) {
      t.match(await here.copy(product), {
        counts: { removed: i === 0 ? (product === 'jira' ? 3 : 1) : 0 }
      })
    }
  }
  const rows = [
    ...(await here.app.inject('/jira/projects/1')).json(),
    ...(await here.app.inject('/confluence/pages/1?limit=1000')).json()
  ] as Row[]
  t.same(
    rows
      .filter((row) => row.key === key || row.key === 'HAND' || row.page_id === pageId)
      .map(({ id }) => id)
      .sort(),
    posted.map(({ id }) => id).sort(),
    'only they are left'
  )
  for (const each of posted) {
    t.ok(
      rows.some((row) => JSON.stringify(row) === JSON.stringify(each)),
      'as they were posted'
    )
  }
})

t.test(
  'A deletion is told for TOMBSTONE_DAYS; then it is forgotten, and who has not read it begins again',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES }, env: { TOMBSTONE_DAYS: '7' } })
    const since = await cursor(here)
    const names = await Promise.all(
      COLLECTIONS.map(async (collection) => (await here.names(collection))[0] ?? '')
    )
    for (const [i, collection] of COLLECTIONS.entries()) {
      await here.remove(collection, names[i] ?? '')
    }
    for (const product of PRODUCTS) await here.copy(product)
    const told = async () =>
      (await changes(here, since))
        .json()
        .changes?.map(({ op, collection }: Row) => `${op} ${collection}`) ?? []
    const expected = ['delete projects', 'delete issues', 'delete spaces', 'delete pages']
    for (const days of [0, 6.9]) {
      here.pass(days * DAY_MS)
      await here.app.schedule.once()
      const list: string[] = await told()
      for (const each of expected) t.ok(list.includes(each), `${each} after ${days} days`)
    }
    const read = (await changes(here, since)).json().next
    const left = await Promise.all(
      COLLECTIONS.map(async (collection) => await here.names(collection))
    )
    here.pass(0.2 * DAY_MS)
    await here.app.schedule.once()
    t.match((await changes(here, since)).json(), {
      status: 410,
      code: 'cursor_expired',
      cursor: /./
    })
    t.match(
      (await changes(here, read)).json(),
      { changes: [], more: false },
      'who has read it goes on'
    )
    t.same(
      await Promise.all(COLLECTIONS.map(async (collection) => await here.names(collection))),
      left,
      'what is there stays'
    )
    // And what comes back now is new.
    await here.restore('pages', names[3] ?? '')
    t.match(await here.copy('confluence', 'incremental'), { counts: { added: 1 } })
    t.match((await changes(here, read)).json().changes, [
      { op: 'upsert', collection: 'pages', remote_id: names[3] }
    ])
  }
)

t.test(
  'What moves to another space or project, or gets another key, is the same row afterwards',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    const {
      sandbox: { admin }
    } = here
    for (const mode of ['incremental', 'full']) {
      here.pass(MINUTE_MS)
      const count = async () =>
        await Promise.all(
          COLLECTIONS.map(async (collection) => (await here.names(collection)).length)
        )
      const before = await count()
      const [pageId = '', [issueId = ''], [fromKey, toKey = '']] = [
        (await here.names('pages'))[3],
        await here.names('issues'),
        await here.names('projects')
      ]
      const page = await here.item('pages', pageId)
      const issue = await here.item('issues', issueId)
      const space = (await here.app.inject('/confluence/spaces/1'))
        .json()
        .find(({ key }: Row) => key !== page?.space_key)
      const project = issue?.project_key === toKey ? fromKey : toKey
      await admin(`pages/${pageId}`, { space_id: space.space_id })
      await admin(`issues/${issueId}`, { project })
      for (const product of PRODUCTS) {
        t.match(
          await here.copy(product, mode),
          { state: 'succeeded', counts: { added: 0, changed: 1, removed: 0 } },
          `${mode} ${product}`
        )
      }
      t.match(await here.item('pages', pageId), { id: page?.id, space_key: space.key })
      t.match(await here.item('issues', issueId), {
        id: issue?.id,
        project_key: project,
        key: new RegExp(`^${project}-\\d+$`)
      })
      const [renamed = ''] = await here.names('projects')
      const { id } = (await here.item('projects', renamed)) ?? {}
      await admin(`projects/${renamed}`, { key: `NEW${mode}`.toUpperCase() })
      t.match(await here.copy('jira', mode), {
        state: 'succeeded',
        counts: { added: 0, removed: 0 }
      })
      t.match(await here.item('projects', `NEW${mode}`.toUpperCase()), { id })
      t.same(await count(), before, 'nothing is there twice')
    }
    await here.copy('jira')
    const keys = await here.names('projects')
    t.ok(
      (await here.app.inject('/jira/issues/1?limit=1000'))
        .json()
        .every(({ project_key: key }: Row) => keys.includes(key)),
      'issues follow the key of their project with a full copy'
    )
  }
)
