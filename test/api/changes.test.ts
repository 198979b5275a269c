import t from 'tap'
import { DAY_MS } from '../time.ts'
import { assertProblem } from './helper.ts'
import { ensureDatabase } from '../database.ts'
import { buildTestApp, buildSandboxEnv } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { ACME } from '../sandbox/helper.ts'
import {
  startSyncedService,
  postProject,
  measureDuration,
  formatChanges,
  type SyncedService
} from './synced-service.ts'
import { FeedFollower, readLists } from './feed-follower.ts'
import { getSyncScheduler } from '../jobs.ts'

const SMALL_SIZES = { sandbox: { sizes: { projects: 4, issues: 12, spaces: 3, pages: 9 } } }

const readBothStates = async (follower: FeedFollower, { app }: { app: SyncedService['app'] }) => {
  await follower.catchUp()
  return [Object.fromEntries(follower.items), Object.fromEntries(await readLists(app, 1))] as const
}

t.jobs = 4

t.test(
  'A client that follows the feed ends with what the lists return, whatever happens at Atlassian',
  async (t) => {
    const service = await startSyncedService(t, ['jira', 'confluence'], SMALL_SIZES)
    const {
      app,
      sandbox: { admin },
      runSync
    } = service
    const mirrors = [1, 3, 500].map((limit) => new FeedFollower(app, 1, limit))
    const agree = async (name: string) => {
      for (const mirror of mirrors) t.same(...(await readBothStates(mirror, service)), name)
    }
    await agree('a snapshot')
    const issue = (await service.get('/jira/issues/1')).json()[0]
    const page = (await service.get('/confluence/pages/1')).json()[0]

    await admin(`issues/${issue.key}`, { summary: 'Edited' })
    await admin(`pages/${page.page_id}`, { title: 'Edited' })
    await admin('issues', { project: issue.project_key, summary: 'New' })
    await runSync('jira', 'incremental')
    await runSync('confluence', 'incremental')
    await agree('edits and a new one')
    t.match(
      mirrors.map(({ items }) => [items.get(`issues/${issue.id}`), items.get(`pages/${page.id}`)]),
      mirrors.map(() => [{ summary: 'Edited' }, { title: 'Edited' }])
    )

    await admin(`issues/${issue.key}`, { deleted: true })
    await admin(`pages/${page.page_id}`, { status: 'trashed' })
    await runSync('jira')
    await runSync('confluence')
    t.equal((await readLists(app, 1)).has(`issues/${issue.id}`), false)
    await agree('deletions')

    await admin(`issues/${issue.issue_id}`, { deleted: false })
    await runSync('jira')
    t.equal((await readLists(app, 1)).has(`issues/${issue.id}`), true)
    await agree('one that came back')

    await postProject(service, 'HAND')
    await postProject(service, 'HAND', 'Again')
    await agree('by hand')
    t.same(
      mirrors.map(({ restarts }) => restarts),
      [0, 0, 0],
      'without a restart'
    )
  }
)

t.test(
  'Each change names its item, and the item is the one in the list, with every field',
  async (t) => {
    const service = await startSyncedService(t, ['jira', 'confluence'], SMALL_SIZES)
    const {
      get,
      sandbox: { admin },
      runSync
    } = service
    await postProject(service, 'HAND')
    await service.post('/confluence/pages', {
      owner_id: 1,
      space_key: 'S',
      page_id: '7',
      title: 'Mine'
    })
    const answer = (await get('/users/1/changes?limit=1000')).json()
    t.same(Object.keys(answer), ['changes', 'next', 'more'])
    t.equal(answer.more, false)
    for (const [list, collection, count] of [
      ['/jira/projects/1', 'projects', 5],
      ['/jira/issues/1', 'issues', 12],
      ['/confluence/spaces/1', 'spaces', 3],
      ['/confluence/pages/1', 'pages', 10]
    ] as const) {
      const listed = (await get(list)).json() as Array<{ id: number }>
      const changes = answer.changes.filter((change: any) => change.collection === collection)
      t.equal(changes.length, count, collection)
      t.strictSame(
        changes.map(({ item }: any) => item).sort(compareById),
        listed.sort(compareById),
        collection
      )
      t.ok(
        changes.every(
          (change: any) =>
            change.op === 'upsert' &&
            change.id === change.item.id &&
            Object.keys(change).join() === 'collection,op,id,remote_id,site,item'
        )
      )
    }
    const [byHand, page] = answer.changes.slice(-2)
    t.match(byHand, { site: null, remote_id: 'HAND', item: { key: 'HAND' } })
    t.match(page, { site: null, remote_id: '["S","7"]', item: { title: 'Mine', status: null } })
    const issue = answer.changes.find(({ collection }: any) => collection === 'issues')
    t.match(issue, { site: ACME, remote_id: issue.item.issue_id })
    await admin(`issues/${issue.item.key}`, { deleted: true })
    await runSync('jira')
    t.strictSame((await get(`/users/1/changes?since=${answer.next}`)).json().changes, [
      {
        collection: 'issues',
        op: 'delete',
        id: issue.id,
        remote_id: issue.remote_id,
        site: ACME,
        item: null
      }
    ])
  }
)

t.test(
  'Changes come in the order they were applied, and each response continues where the last one ended',
  async (t) => {
    const service = await startSyncedService(t, [])
    const { post, get } = service
    await post('/users', { email: 'ada@example.com' })
    await post('/users', { email: 'bob@example.com' })
    const begin = (await get('/users/1/changes')).json().next
    await postProject(service, 'A')
    await post('/confluence/pages', { owner_id: 1, space_key: 'S', page_id: '1', title: 'P' })
    await postProject(service, 'B')
    await postProject(service, 'X', 'Of somebody else', 2)
    await postProject(service, 'C')
    await postProject(service, 'A', 'Again')
    const expected = [
      'upsert pages P',
      'upsert projects B',
      'upsert projects C',
      'upsert projects A'
    ]
    t.same(formatChanges(await get(`/users/1/changes?since=${begin}`)), expected)
    t.same(
      formatChanges(await get(`/users/1/changes?since=${begin}`)),
      expected,
      'a repeated request returns the same changes'
    )
    for (const prefix of ['', '/api']) {
      const [got, mores]: [string[], boolean[]] = [[], []]
      let since = begin
      for (let i = 0; i < 4; i++) {
        const answer = await get(`${prefix}/users/1/changes?since=${since}&limit=1`)
        got.push(...formatChanges(answer))
        mores.push(answer.json().more)
        since = answer.json().next
      }
      t.same(got, expected)
      t.same(mores, [true, true, true, false], 'has_more is true')
      t.match((await get(`/users/1/changes?since=${since}`)).json(), { changes: [], more: false })
    }
    t.same(formatChanges(await get('/users/2/changes')), ['upsert projects X'])
  }
)

t.test(
  'A filtered feed returns the named collections only; its cursor is rejected where it skipped changes',
  async (t) => {
    const service = await startSyncedService(t, ['jira', 'confluence'], SMALL_SIZES)
    const {
      get,
      sandbox: { admin },
      runSync
    } = service
    const collections = async (query: string) => {
      const answer = await get(`/users/1/changes?limit=1000&${query}`)
      return {
        next: answer.json().next as string,
        names: [...new Set(answer.json().changes.map(({ collection }: any) => collection))].sort()
      }
    }
    const { next } = await collections('collections=projects,pages')
    t.same((await collections('collections=projects,pages')).names, ['pages', 'projects'])
    t.same(
      await collections('collections=projects,projects'),
      await collections('collections=projects'),
      'a repeated name counts once'
    )
    t.same((await collections('collections=pages,issues,spaces,projects')).names, [
      'issues',
      'pages',
      'projects',
      'spaces'
    ])

    const { key } = (await get('/jira/issues/1')).json()[0]
    await admin(`issues/${key}`, { deleted: true })
    await runSync('jira')
    await postProject(service, 'LATER')
    t.same(
      formatChanges(await get(`/users/1/changes?since=${next}`)),
      ['upsert projects LATER'],
      'without collections: those of the cursor, and no deletions of others'
    )
    t.same(
      formatChanges(await get(`/users/1/changes?since=${next}&collections=pages`)),
      [],
      'accepts a subset'
    )
    t.match(
      assertProblem(
        t,
        await get(`/users/1/changes?since=${next}&collections=issues,projects`),
        400,
        'invalid_cursor'
      ).detail,
      /without issues\..*projects,pages only\./
    )
    const all = (await get('/users/1/changes?limit=1000')).json().next
    const narrowed = (await get(`/users/1/changes?since=${all}&collections=pages`)).json().next
    assertProblem(
      t,
      await get(`/users/1/changes?since=${narrowed}&collections=projects`),
      400,
      'invalid_cursor'
    )
    const mirror = new FeedFollower(service.app, 1, 2, 'collections=issues')
    await mirror.catchUp()
    t.same(
      [...mirror.items.keys()].sort(),
      [...(await readLists(service.app, 1)).keys()]
        .filter((name) => name.startsWith('issues/'))
        .sort()
    )

    for (const wrong of [
      '',
      ',',
      'projects,',
      'Projects',
      'projects pages',
      'users',
      'projects,,pages',
      'constructor'
    ]) {
      t.match(
        assertProblem(
          t,
          await get(`/users/1/changes?collections=${wrong}`),
          422,
          'validation_failed',
          wrong
        ).errors,
        [{ pointer: '/collections' }]
      )
    }
  }
)

t.test(
  'A cursor of another origin returns 400 with a sentence, and an invalid parameter 422',
  async (t) => {
    const service = await startSyncedService(t, [])
    const { post, get } = service
    for (const email of ['ada@example.com', 'bob@example.com']) await post('/users', { email })
    for (const key of ['A', 'B', 'C']) await postProject(service, key)
    const cursor = (await get('/users/1/changes?limit=2')).json().next as string
    const wrong = [
      'x',
      '%00',
      'bnVsbA',
      'W10',
      'e30',
      `${cursor}.`,
      `${cursor}=`,
      ...[
        null,
        'a',
        ['changes'],
        ['changes', 1, 0, 0],
        ['changes', 1, -1, 0, ''],
        ['changes', 1, 1.5, 0, ''],
        ['changes', 1, 0, '0', ''],
        ['changes', 1, 0, 0, 'users'],
        ['changes', 1, 0, 0, 'pages,pages,x'],
        ['changes', 1, 0, 0, null],
        ['other', 1, 0, 0, ''],
        ['changes', 1, 0, 0, '', 0],
        ['changes', 1, 0, 0, '', '1'],
        ['changes', 1, 0, 0, '', 1, 1],
        ['changes', 1, 2 ** 53, 0, '']
      ].map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'))
    ]
    for (const since of wrong) {
      assertProblem(t, await get(`/users/1/changes?since=${since}`), 400, 'invalid_cursor', since)
    }
    for (let cut = 1; cut < cursor.length; cut++) {
      assertProblem(
        t,
        await get(`/users/1/changes?since=${cursor.slice(0, cut)}`),
        400,
        'invalid_cursor',
        `cut to ${cut}`
      )
    }
    const { link } = (await get('/jira/projects/1?limit=1')).headers
    assertProblem(
      t,
      await get(`/users/1/changes?since=${/cursor=([\w-]+)/.exec(String(link))?.[1]}`),
      400,
      'invalid_cursor',
      'a cursor of a list'
    )
    t.match(
      assertProblem(t, await get(`/users/2/changes?since=${cursor}`), 400, 'invalid_cursor').detail,
      /another user's feed\. Start without since\./
    )
    assertProblem(t, await get('/users/3/changes'), 404, 'user_not_found')
    for (const [query, pointer] of [
      ['limit=0', '/limit'],
      ['limit=1001', '/limit'],
      ['limit=x', '/limit'],
      ['wait=61', '/wait'],
      ['wait=-1', '/wait'],
      ['wait=1.5', '/wait'],
      ['since=a&since=b', '/since'],
      ['cursor=x', '/cursor'],
      [`since=${'a'.repeat(201)}`, '/since']
    ] as const) {
      t.match(
        assertProblem(t, await get(`/users/1/changes?${query}`), 422, 'validation_failed', query)
          .errors?.[0],
        { pointer }
      )
    }
  }
)

t.test('A snapshot omits earlier deletions: responses can be empty before its end', async (t) => {
  const service = await startSyncedService(t, ['confluence'], {
    sandbox: { sizes: { pages: 20 } }
  })
  const {
    get,
    sandbox: { admin },
    runSync,
    app
  } = service
  const pages = (await get('/confluence/pages/1')).json()
  const early = new FeedFollower(app, 1, 2)
  await early.readPage()
  for (const { page_id: id } of pages.slice(0, 3)) {
    await admin(`pages/${id}`, { status: 'trashed' })
  }
  t.match(await runSync('confluence'), { counts: { removed: 3 } })
  await postProject(service, 'LAST')
  const late = new FeedFollower(app, 1, 1)
  const answers = []
  do answers.push(await late.readPage())
  while (answers.at(-1)?.more === true)
  t.ok(answers.some(({ changes, more }) => changes.length === 0 && more))
  t.ok(answers.every(({ changes }) => changes.every(({ op }) => op === 'upsert')))
  t.same(...(await readBothStates(late, service)))
  t.same(...(await readBothStates(early, service)), 'a feed that began earlier includes them')
  const empty = answers.findIndex(({ changes }) => changes.length === 0)
  const [answer, ms] = await measureDuration(
    get(`/users/1/changes?limit=1&wait=20&since=${answers[empty - 1]?.next}`)
  )
  t.match(answer.json(), { changes: [], more: true })
  t.ok(ms < 5_000, 'does not wait while there is more')
})

t.test(
  'Ending a connection erases its copies without single deletions: 410 with a fresh cursor',
  async (t) => {
    const service = await startSyncedService(t, ['jira', 'confluence'], SMALL_SIZES)
    const { app, get } = service
    await postProject(service, 'HAND')
    const mirror = new FeedFollower(app, 1, 4)
    const halfway = new FeedFollower(app, 1, 4)
    const narrow = new FeedFollower(app, 1, 4, 'collections=projects')
    await mirror.catchUp()
    await narrow.catchUp()
    await halfway.readPage()
    const cursor = mirror.since ?? ''
    await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })
    for (const each of [mirror, halfway]) t.same(...(await readBothStates(each, service)))
    t.same(
      [...mirror.items.values()].filter((item) => 'key' in item && 'lead' in item).length,
      1,
      'items posted by hand remain'
    )
    await narrow.catchUp()
    t.equal(narrow.items.size, 1)
    t.same(
      [mirror, halfway, narrow].map(({ restarts }) => restarts),
      [1, 1, 1]
    )
    const expiredResponse = await get(`/users/1/changes?since=${cursor}`)
    t.match(expiredResponse.json(), {
      status: 410,
      code: 'cursor_expired',
      detail: /begin with the cursor/,
      cursor: /^[\w-]+$/
    })
    t.match(expiredResponse.headers['content-type'], /^application\/problem\+json/)
    t.equal((await get(`/users/1/changes?since=${expiredResponse.json().cursor}`)).statusCode, 200)

    await app.inject({ method: 'DELETE', url: '/users/1/connections/confluence?copies=keep' })
    t.same(...(await readBothStates(mirror, service)))
    t.equal(mirror.restarts, 1, 'no restart if the copies were kept')
  }
)

t.test('An erasure during a read returns 410, not an incomplete response', async (t) => {
  const service = await startSyncedService(t, ['jira'], SMALL_SIZES)
  const { app, get } = service
  const mirror = new FeedFollower(app, 1, 4)
  await mirror.readPage()
  const { listChangeSizes } = app.store.items('projects')
  app.store.items('projects').listChangeSizes = async (...args) => {
    const result = await listChangeSizes(...args)
    app.store.items('projects').listChangeSizes = listChangeSizes
    await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })
    return result
  }
  t.match((await get(`/users/1/changes?since=${mirror.since}`)).json(), {
    status: 410,
    code: 'cursor_expired'
  })
  t.same(...(await readBothStates(mirror, service)))
})

t.test(
  'Deletions stay in the feed for TOMBSTONE_DAYS; only a client that returns later begins again',
  async (t) => {
    let clock = Date.now()
    const service = await startSyncedService(t, ['jira'], {
      ...SMALL_SIZES,
      now: () => clock,
      env: { TOMBSTONE_DAYS: '2', SYNC_INTERVAL: '0' }
    })
    const {
      app,
      get,
      sandbox: { admin },
      runSync
    } = service
    const [late, intime, prompt] = [
      new FeedFollower(app, 1),
      new FeedFollower(app, 1),
      new FeedFollower(app, 1)
    ]
    for (const mirror of [late, intime, prompt]) await mirror.catchUp()
    const { key } = (await get('/jira/issues/1')).json()[0]
    clock += 1_000
    await admin(`issues/${key}`, { deleted: true })
    t.match(await runSync('jira'), { counts: { removed: 1 } })
    await prompt.catchUp()
    clock += 2 * DAY_MS - 60_000
    await getSyncScheduler(app).runNow()
    t.same(...(await readBothStates(intime, service)))
    clock += 3_660_000
    await getSyncScheduler(app).runNow()
    for (const mirror of [late, intime, prompt]) t.same(...(await readBothStates(mirror, service)))
    t.same(
      [late, intime, prompt].map(({ restarts }) => restarts),
      [1, 0, 0]
    )
  }
)

t.test(
  'A cursor survives a restart, and one that is ahead of a restored database begins again',
  async (t) => {
    const url = await ensureDatabase(t, `${createTempFolder(t)}/feed.db`)
    const service = await startSyncedService(t, ['jira'], {
      ...SMALL_SIZES,
      env: { INTEGRATION_DB_URL: url }
    })
    const mirror = new FeedFollower(service.app, 1, 3)
    await mirror.readPage()
    await service.app.close()
    const again = await buildTestApp(t, {
      ...buildSandboxEnv(service.sandbox.url),
      INTEGRATION_DB_URL: url
    })
    const next = new FeedFollower(again.app, 1, 3)
    next.since = mirror.since
    for (const [name, item] of mirror.items) next.items.set(name, item)
    t.same(...(await readBothStates(next, again)))
    t.equal(next.restarts, 0)
    const ahead = (at: number, horizon: number) =>
      Buffer.from(JSON.stringify(['changes', 1, at, horizon, ''])).toString('base64url')
    for (const since of [ahead(1_000_000, 1), ahead(1, 1_000_000)]) {
      t.match((await again.app.inject(`/users/1/changes?since=${since}`)).json(), {
        code: 'cursor_expired'
      })
    }
  }
)

function compareById(a: { id: number }, b: { id: number }): number {
  return a.id - b.id
}
