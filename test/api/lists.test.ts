import t from 'tap'
import { followPages, assertProblem, getItems } from './helper.ts'
import { startSyncedService, postProject } from './synced-service.ts'
import { resolveNextPage } from '../network.ts'

const LISTS = [
  ['jira', 'projects'],
  ['jira', 'issues'],
  ['confluence', 'spaces'],
  ['confluence', 'pages']
] as const

t.test('Lists of copied items', async (t) => {
  const service = await startSyncedService(t, ['jira', 'confluence'], {
    sandbox: { sizes: { projects: 5, issues: 40, spaces: 4, pages: 40 } }
  })
  const { app, get, post } = service
  await post('/jira/projects', { owner_id: 1, key: "O'HARA_%", name: '100 % "Ünïcode" & Co' })
  await post('/confluence/pages', { owner_id: 1, space_key: 'HAND', page_id: '1', title: 'ZZ' })
  const all: Record<string, any[]> = {}
  for (const [product, name] of LISTS) all[name] = (await get(`/${product}/${name}/1`)).json()

  t.test('are the same under all three paths and include when each item changed', async (t) => {
    for (const [product, name] of LISTS) {
      const fetched = (await get(`/integrations/${product}/${name}/fetch?owner_id=1`)).json()
      t.match(fetched.as_of, /^\d{4}-.*Z$/)
      t.same(fetched, {
        provider: product,
        total: all[name]?.length,
        as_of: fetched.as_of,
        sync_state: 'complete',
        items: all[name]
      })
      t.same((await get(`/api/${product}/${name}/1`)).json(), all[name])
      t.ok(
        all[name]?.every(({ updated_at: at }) => new Date(at).toISOString() === at),
        name
      )
    }
    t.same(Object.keys(all.issues?.[0]), [
      'id',
      'owner_id',
      'issue_id',
      'key',
      'project_key',
      'summary',
      'status',
      'issue_type',
      'assignee',
      'created_at',
      'url',
      'source',
      'site',
      'updated_at'
    ])
    t.same(Object.keys(all.spaces?.[0]), [
      'id',
      'owner_id',
      'space_id',
      'key',
      'name',
      'type',
      'status',
      'url',
      'source',
      'site',
      'updated_at'
    ])
    t.same(Object.keys(all.pages?.[0]), [
      'id',
      'owner_id',
      'space_key',
      'page_id',
      'title',
      'status',
      'url',
      'source',
      'site',
      'updated_at'
    ])
  })

  t.test('accept every filter alone and combined, and pages keep the filters', async (t) => {
    const [issue, page] = [all.issues?.[7], all.pages?.[7]]
    const middle = [...(all.issues ?? [])].map(({ updated_at: at }) => at).sort()[20]
    const since = (at: string) => (item: any) => item.updated_at >= at
    const word = issue.summary.split(' ')[0].toUpperCase()
    const CASES: Array<
      [path: string, name: string, query: Record<string, string>, isMatch: (item: any) => boolean]
    > = [
      [
        '/jira/issues/1',
        'issues',
        { project: issue.project_key },
        (item) => item.project_key === issue.project_key
      ],
      ['/jira/projects/1', 'projects', { project: "O'HARA_%" }, (item) => item.key === "O'HARA_%"],
      [
        '/confluence/pages/1',
        'pages',
        { space: page.space_key },
        (item) => item.space_key === page.space_key
      ],
      ['/confluence/spaces/1', 'spaces', { space: 'ENG' }, (item) => item.key === 'ENG'],
      ['/jira/issues/1', 'issues', { updated_since: middle }, since(middle)],
      [
        '/jira/issues/1',
        'issues',
        {
          updated_since: `${new Date(Date.parse(middle) + 3_600_000).toISOString().slice(0, 23)}+01:00`
        },
        since(middle)
      ],
      [
        '/jira/issues/1',
        'issues',
        { q: word },
        (item) => item.summary.toUpperCase().includes(word)
      ],
      [
        '/jira/issues/1',
        'issues',
        { q: issue.key.toLowerCase() },
        (item) => item.key.includes(issue.key)
      ],
      [
        '/confluence/pages/1',
        'pages',
        { q: page.title.slice(1) },
        (item) => item.title.includes(page.title.slice(1))
      ],
      ['/jira/projects/1', 'projects', { q: '%' }, (item) => item.name.includes('%')],
      [
        '/jira/projects/1',
        'projects',
        { q: '_' },
        (item) => (item.key + String(item.name)).includes('_')
      ],
      ['/jira/projects/1', 'projects', { q: "o'hara" }, (item) => item.key.includes("O'HARA")],
      [
        '/jira/projects/1',
        'projects',
        { q: '"Ünïcode" & co' },
        (item) => item.name.includes('Ünïcode')
      ],
      [
        '/jira/issues/1',
        'issues',
        { project: issue.project_key, updated_since: middle, q: 'e' },
        (item) =>
          item.project_key === issue.project_key &&
          since(middle)(item) &&
          /e/i.test(`${item.key} ${item.summary}`)
      ],
      ['/jira/issues/1', 'issues', { project: 'NONE' }, () => false],
      ['/jira/issues/1', 'issues', { project: "x' or 1=1 --" }, () => false],
      [
        '/integrations/jira/issues/fetch',
        'issues',
        { owner_id: '1', q: 'A' },
        (item) => /a/i.test(`${item.key} ${item.summary}`)
      ],
      ['/api/confluence/pages/1', 'pages', { q: 'A' }, (item) => /a/i.test(item.title)]
    ]
    for (const [path, name, query, isMatch] of CASES) {
      const expected = (all[name] ?? []).filter(isMatch)
      const url = `${path}?${new URLSearchParams(query).toString()}`
      // A filter must match some items; only the filters `() => false`, without a parameter, match none.
      t.equal(expected.length > 0, isMatch.length > 0, `${url}: has matches`)
      t.same(getItems((await get(url)).json()), expected, url)
      const { pages, links } = await followPages(app, `${url}&limit=2`, getItems)
      t.same(pages.flat(), expected, `${url} in pages of two`)
      for (const link of links) {
        const { pathname, searchParams } = new URL(link, 'http://x')
        searchParams.delete('cursor')
        t.same(
          [pathname, Object.fromEntries(searchParams)],
          [path, { ...query, limit: '2' }],
          'the link keeps all filters'
        )
      }
    }
  })

  t.test('reject an invalid parameter and name it', async (t) => {
    const INVALID_QUERIES: Array<[query: string, pointer: string]> = [
      ...[
        '',
        'yesterday',
        '2026-11-23',
        '2026-11-23T12:00',
        '2026-11-23T12:00:00',
        '2026-13-01T00:00:00Z',
        '1763899200',
        '2026-11-23T12:00:00+01:00',
        `2026-11-23T12:00:00.${'0'.repeat(20)}Z`
      ].map((at): [string, string] => [`updated_since=${at}`, '/updated_since']),
      ['q=', '/q'],
      [`q=${'x'.repeat(201)}`, '/q'],
      ['q=%00', '/q'],
      ['q=a&q=b', '/q'],
      ['project=', '/project'],
      [`project=${'x'.repeat(256)}`, '/project'],
      ['space=ENG', '/space'],
      ['limit=1001', '/limit'],
      ['include=body', '/include'],
      ['status=Done', '/status']
    ]
    for (const [query, pointer] of INVALID_QUERIES) {
      t.match(
        assertProblem(
          t,
          await get(`/jira/issues/1?${query}`),
          422,
          'validation_failed',
          query.slice(0, 40)
        ).errors?.[0],
        { pointer, detail: /\.$/ }
      )
    }
    t.match(
      (await get('/jira/issues/1?updated_since=2026-11-23T12:00:00+01:00')).json().errors[0].detail,
      /send a plus sign as %2B/
    )
    assertProblem(t, await get('/jira/issues/7'), 404, 'user_not_found')
    assertProblem(t, await get('/jira/issues/1?cursor=x'), 400, 'invalid_cursor')
  })

  t.test('return 304 for a current ETag', async (t) => {
    for (const url of [
      '/jira/issues/1?limit=3',
      '/confluence/pages/1',
      '/integrations/jira/projects/fetch',
      '/api/jira/projects/1'
    ]) {
      const first = await get(url)
      const etag = String(first.headers.etag)
      t.match(etag, /^"[\w.]+"$/)
      t.match(first.headers['cache-control'], /private, no-cache/)
      for (const ifNoneMatch of [etag, `W/${etag}`, `"x", ${etag}`, `W/"x",W/${etag} , "y"`, '*']) {
        const again = await get(url, { 'if-none-match': ifNoneMatch })
        t.match(
          { status: again.statusCode, body: again.body, etag: again.headers.etag },
          { status: 304, body: '', etag },
          ifNoneMatch
        )
        t.notOk(again.headers['content-type'])
      }
      for (const ifNoneMatch of ['"x"', '', etag.slice(1, -1), `${etag}x`, `"${etag}"`, 'W/*']) {
        t.equal((await get(url, { 'if-none-match': ifNoneMatch })).statusCode, 200, ifNoneMatch)
      }
    }
  })

  t.test('return a new ETag after every change: posted, copied, deleted, erased', async (t) => {
    let etag = String((await get('/jira/issues/1')).headers.etag)
    const assertNewEtag = async (name: string, list = '/jira/issues/1') => {
      const response = await get(list, { 'if-none-match': etag })
      t.equal(response.statusCode, 200, name)
      t.not(response.headers.etag, etag, name)
      etag = String(response.headers.etag)
      t.equal(
        (await get(list, { 'if-none-match': etag })).statusCode,
        304,
        `and only once: ${name}`
      )
      return response.json()
    }
    await postProject(service, 'NEW')
    await assertNewEtag('posted')
    const { key, id } = all.issues?.[3]
    await service.sandbox.admin(`issues/${key}`, { summary: 'Edited' })
    await service.runSync('jira', 'incremental')
    t.match(
      (await assertNewEtag('copied')).find((item: any) => item.id === id),
      { summary: 'Edited' }
    )
    await service.runSync('jira', 'full')
    t.equal(
      (await get('/jira/issues/1', { 'if-none-match': etag })).statusCode,
      304,
      'a copy without changes keeps the ETag'
    )
    await service.sandbox.admin(`issues/${key}`, { deleted: true })
    await service.runSync('jira', 'full')
    t.notOk((await assertNewEtag('deleted')).some((item: any) => item.id === id))
    await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })
    t.same(await assertNewEtag('erased'), [])
    await post('/users', { email: 'bob@example.com' })
    t.equal(
      (await get('/jira/issues/2', { 'if-none-match': etag })).statusCode,
      200,
      "another owner's list has another ETag"
    )
  })

  t.test(
    'end at the last item; a page whose items were deleted in the meantime does not end the list',
    async (t) => {
      const url = '/confluence/pages/1?limit=10'
      const first = await get(url)
      const rest = all.pages?.slice(10, 12) ?? []
      for (const { page_id: id } of rest) {
        await service.sandbox.admin(`pages/${id}`, { status: 'trashed' })
      }
      t.match(await service.runSync('confluence'), { counts: { removed: 2 } })
      const { pages } = await followPages(
        app,
        resolveNextPage(url, first.headers.link) ?? '',
        getItems
      )
      t.same(pages.flat(), all.pages?.slice(12))
    }
  )
})

t.test('Without a user, the fetch path is empty and the lists return 404', async (t) => {
  const { get } = await startSyncedService(t, [])
  const response = await get('/integrations/jira/issues/fetch', { 'if-none-match': '*' })
  t.match(
    { status: response.statusCode, body: response.json() },
    {
      status: 200,
      body: { provider: 'jira', total: 0, as_of: null, sync_state: 'never', items: [] }
    }
  )
  assertProblem(t, await get('/jira/issues/1'), 404, 'user_not_found')
})
