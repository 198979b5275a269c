import t from 'tap'
import { startSignedIn } from './helper.ts'

t.test(
  'lists and look-ups return a corrupt project, only where they return the corrupt member',
  async (t) => {
    const { jira, admin } = await startSignedIn(t)
    const before = (await jira('/project/10000')).body
    await admin('spoil', {
      collection: 'projects',
      id: 'PAY',
      fields: { name: null, projectTypeKey: 7, lead: 'Dana' },
      omit: ['style', 'avatarUrls.48x48']
    })
    const listed = (await jira('/project/search?keys=PAY')).body.values[0]
    t.match(listed, { id: '10000', name: null, projectTypeKey: 7 })
    t.notOk('style' in listed || 'lead' in listed || '48x48' in listed.avatarUrls)
    t.ok('16x16' in listed.avatarUrls)
    t.match((await jira('/project/PAY')).body, { name: null, lead: 'Dana' })
    await admin('spoil', { collection: 'projects', id: '10000', fields: null })
    t.strictSame((await jira('/project/10000')).body, before)
  }
)

t.test('searches with fields, bulkfetch and look-ups return a corrupt issue', async (t) => {
  const { jira, jiraPost, admin } = await startSignedIn(t)
  await admin('spoil', {
    collection: 'issues',
    id: 'PAY-1',
    fields: { 'fields.summary': null, 'fields.status.name': 5, key: 9, 'fields.nothing': 1 },
    omit: ['fields.updated']
  })
  const [found] = (
    await jiraPost('/search/jql', { jql: 'key = PAY-1', fields: ['summary', 'updated'] })
  ).body.issues
  t.match(found, { id: '10000', key: 9 })
  t.strictSame(found.fields, { summary: null })
  const fetched = (
    await jiraPost('/issue/bulkfetch', {
      issueIdsOrKeys: ['PAY-1', 'PAY-2'],
      fields: ['status', 'summary']
    })
  ).body.issues
  t.match(fetched, [
    { fields: { summary: null, status: { name: 5, id: String } } },
    { key: 'PAY-2', fields: { summary: String, status: { name: String } } }
  ])
  t.match((await jira('/issue/PAY-1')).body, { key: 9, fields: { summary: null } })
  t.strictSame(
    (await jira('/search/jql?jql=key=PAY-1')).body.issues,
    [{ id: '10000' }],
    'ids are unchanged unless the id is corrupt'
  )
  await admin('spoil', { collection: 'issues', id: 'PAY-1', fields: { id: null } })
  t.strictSame((await jira('/search/jql?jql=key=PAY-1')).body.issues, [{ id: null }])
  t.type(
    (await jira('/issue/PAY-1')).body.fields.summary,
    'string',
    'a new corruption replaces the old one'
  )
})

t.test('lists, look-ups and CQL return corrupt spaces and pages', async (t) => {
  const { wiki, admin } = await startSignedIn(t)
  const [space] = (await wiki('/api/v2/spaces')).body.results
  await admin('spoil', { collection: 'spaces', id: space.key, fields: { key: null, _links: null } })
  t.match((await wiki('/api/v2/spaces')).body.results[0], { id: space.id, key: null, _links: null })
  t.match((await wiki(`/api/v2/spaces/${space.id}`)).body, { key: null, _links: null })
  const page = (await wiki('/api/v2/pages?status=current')).body.results[5]
  await admin('spoil', {
    collection: 'pages',
    id: page.id,
    fields: { title: 7, 'version.createdAt': 'yesterday' },
    omit: ['spaceId']
  })
  for (const shown of [
    (await wiki('/api/v2/pages?status=current')).body.results[5],
    (await wiki(`/api/v2/pages/${page.id}`)).body
  ]) {
    t.match(shown, {
      id: page.id,
      title: 7,
      version: { createdAt: 'yesterday', number: page.version.number }
    })
    t.notOk('spaceId' in shown)
  }
  t.match((await wiki(`/rest/api/search?cql=id=${page.id}`)).body.results, [
    { content: { id: page.id, title: 7 } }
  ])
})

t.test('a list can repeat an item without exceeding the requested size', async (t) => {
  const { jira, wiki, jiraPost, admin } = await startSignedIn(t)
  await admin('spoil', { collection: 'projects', id: 'PAY', repeat: 3 })
  const keys: string[] = []
  for (let startAt = 0, isLast = false; !isLast;) {
    const { body } = await jira(`/project/search?maxResults=4&startAt=${startAt}`)
    keys.push(...body.values.map(({ key }: { key: string }) => key))
    startAt += body.values.length
    isLast = body.isLast
    t.equal(body.total, 14)
  }
  t.strictSame(
    [
      keys.length,
      new Set(keys).size,
      keys.filter((key) => key === 'PAY').length,
      keys.lastIndexOf('PAY') - keys.indexOf('PAY')
    ],
    [14, 12, 3, 2]
  )

  await admin('spoil', { collection: 'issues', id: 'PAY-2', repeat: 2 })
  const search = async (more = {}) =>
    (await jiraPost('/search/jql', { jql: 'project = PAY order by id', ...more })).body
  const { issues } = await search({ fields: ['summary'] })
  t.strictSame([issues.length, issues[1].key, issues[2].key], [26, 'PAY-2', 'PAY-2'])
  const first = await search({ maxResults: 2 })
  t.equal(first.issues.length, 2)
  t.equal((await search({ maxResults: 2, nextPageToken: first.nextPageToken })).issues.length, 2)

  const [page] = (await wiki('/api/v2/pages?status=current')).body.results
  await admin('spoil', { collection: 'pages', id: page.id, repeat: 5 })
  const ids = (await wiki('/api/v2/pages?limit=250')).body.results.map(
    ({ id }: { id: string }) => id
  )
  t.strictSame([ids.length, ids.filter((id: string) => id === page.id).length], [64, 5])
  const short = (await wiki('/api/v2/pages?limit=2')).body
  t.strictSame(
    short.results.map(({ id }: { id: string }) => id),
    [page.id, page.id]
  )
  t.equal(
    (await wiki(short._links.next.slice('/wiki'.length))).body.results[0].id,
    ids[5],
    'the next page continues after it'
  )
})

t.test('corruptions are validated and limited in number', async (t) => {
  const { admin, state } = await startSignedIn(t, { sizes: { issues: 1200 } })
  await t.rejects(
    admin('spoil', { collection: 'people', id: '1' }),
    /400 collection must be one of projects, issues, spaces, pages/
  )
  await t.rejects(admin('spoil', { collection: 'pages', id: '1' }), /400 no page 1/)
  await t.rejects(
    admin('spoil', { collection: 'projects', id: 'PAY', fields: [] }),
    /400 body.fields must be an object or null/
  )
  await t.rejects(
    admin('spoil', { collection: 'projects', id: 'PAY', repeat: 0 }),
    /400 repeat must be a whole number from 1/
  )
  for (let position = 0; position < 1000; position++) {
    state.sites[0]?.corruptions.set('issues', position, {
      fields: { key: null },
      omit: [],
      repeat: 1
    })
  }
  await t.rejects(
    admin('spoil', { collection: 'projects', id: 'PAY', repeat: 2 }),
    /400 too many items are corrupted/
  )
  await admin('spoil', { collection: 'issues', id: '10000', fields: { key: 1 } })
  await admin('spoil', { collection: 'issues', id: '10000', fields: null })
  await admin('spoil', { collection: 'projects', id: 'PAY', repeat: 2 })
})
