import t from 'tap'
import type { TestContext } from '../types.ts'
import { createCallersAs, GLOBEX, startSignedIn } from './helper.ts'

/** Dana, whose access the tests restrict, and Sam, who keeps his; search has no lag. */
async function start(t: TestContext) {
  const dana = await startSignedIn(t, { indexLagMs: 0 })
  return { ...dana, sam: await createCallersAs(dana.url, 'sam') }
}

const jqlPath = (text: string) => `/search/jql?maxResults=5000&jql=${encodeURIComponent(text)}`
const cqlPath = (text: string) => `/rest/api/search?limit=250&cql=${encodeURIComponent(text)}`

t.test('a restricted project and its issues look missing to the account', async (t) => {
  const { jira, jiraPost, sam, admin } = await start(t)
  const before = (await jira('/project/search')).body
  await admin('restrict', { project: 'PAY', account_id: 'dana', restricted: true })
  const after = (await jira('/project/search?maxResults=5')).body
  t.match(after, { total: before.total - 1, isLast: false })
  t.notOk(
    (await jira('/project/search')).body.values.some(({ key }: { key: string }) => key === 'PAY')
  )
  t.match(await jira('/project/PAY'), {
    status: 404,
    body: { errorMessages: ["No project could be found with key 'PAY'."] }
  })
  t.equal((await jira('/issue/PAY-1')).status, 404)
  t.equal((await jira('/issue/10000')).status, 404)
  t.match(
    (await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['PAY-1', 'OPS-1'] })).body.issues,
    [{ key: 'OPS-1' }]
  )
  t.match(await jira(jqlPath('project = PAY')), {
    status: 400,
    body: { errorMessages: ["The value 'PAY' does not exist for the field 'project'."] }
  })
  t.equal((await jira(jqlPath('key = PAY-1'))).status, 400)
  t.equal((await jira(jqlPath('project is not EMPTY'))).body.issues.length, 275)
  t.strictSame(
    (await jiraPost('/search/approximate-count', { jql: 'project is not EMPTY' })).body,
    { count: 275 }
  )
  t.equal((await sam.jira('/project/search')).body.total, before.total, 'another account sees it')
  t.equal((await sam.jira('/issue/PAY-1')).status, 200)
  await admin('restrict', { project: 'PAY', account_id: 'dana', restricted: false })
  t.strictSame((await jira('/project/search')).body, before)
})

t.test('an issue can be restricted for one account or for everyone', async (t) => {
  const { jira, jiraPost, sam, admin } = await start(t)
  await admin('restrict', { issue: 'PAY-1', restricted: true })
  for (const person of [jira, sam.jira]) {
    t.equal((await person('/issue/PAY-1')).status, 404)
    t.equal((await person(jqlPath('project = PAY'))).body.issues.length, 24)
  }
  t.strictSame((await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['PAY-1'] })).body.issues, [])
  await admin('restrict', { issue: '10000', restricted: false })
  t.equal((await jira('/issue/PAY-1')).status, 200)
})

t.test('a restricted space and its pages look missing to the account', async (t) => {
  const { wiki, sam, admin } = await start(t)
  const [space, other] = (await wiki('/api/v2/spaces')).body.results
  const [page] = (await wiki(`/api/v2/spaces/${space.id}/pages`)).body.results
  await admin('restrict', { space: space.key, account_id: 'dana', restricted: true })
  t.equal((await wiki('/api/v2/spaces')).body.results.length, 3)
  t.strictSame((await wiki(`/api/v2/spaces?ids=${space.id}`)).body.results, [])
  t.match(await wiki(`/api/v2/spaces/${space.id}`), {
    status: 404,
    body: { errors: [{ title: `Cannot find a space with id [${space.id}]` }] }
  })
  t.equal((await wiki(`/api/v2/spaces/${space.id}/pages`)).status, 404)
  t.match(await wiki(`/api/v2/pages/${page.id}`), {
    status: 404,
    body: { errors: [{ title: `Cannot find a page with id [${page.id}]` }] }
  })
  for (const list of ['', '&sort=title', '&sort=-modified-date']) {
    t.equal((await wiki(`/api/v2/pages?limit=250${list}`)).body.results.length, 45, list)
  }
  t.strictSame((await wiki(`/api/v2/pages?id=${page.id}`)).body.results, [])
  t.strictSame((await wiki(cqlPath(`space = ${space.key}`))).body.results, [])
  t.ok((await wiki(cqlPath(`space = ${other.key}`))).body.results.length > 0)
  t.equal((await sam.wiki('/api/v2/pages?limit=250')).body.results.length, 60)
  await admin('restrict', { space: space.id, account_id: 'dana', restricted: false })
  t.equal((await wiki('/api/v2/pages?limit=250')).body.results.length, 60)
})

t.test(
  'a page can be restricted on its own; lifting it for everyone lifts it for each account',
  async (t) => {
    const { wiki, sam, admin } = await start(t)
    const [page] = (await wiki('/api/v2/pages?status=current')).body.results
    const sees = async (person: typeof wiki) =>
      (await person(`/api/v2/pages/${page.id}`)).status === 200 &&
      (await person(cqlPath(`id = ${page.id}`))).body.results.length === 1
    await admin('restrict', { page: page.id, account_id: 'dana', restricted: true })
    t.strictSame([await sees(wiki), await sees(sam.wiki)], [false, true])
    await admin('restrict', { page: page.id, restricted: true })
    t.strictSame([await sees(wiki), await sees(sam.wiki)], [false, false])
    await admin('restrict', { page: page.id, account_id: 'dana', restricted: false })
    t.strictSame(
      [await sees(wiki), await sees(sam.wiki)],
      [false, false],
      'items hidden from everyone stay hidden'
    )
    await admin('restrict', { page: page.id, account_id: 'dana', restricted: true })
    await admin('restrict', { page: page.id, restricted: false })
    t.strictSame([await sees(wiki), await sees(sam.wiki)], [true, true])
  }
)

t.test('a restriction applies to one site and names one item', async (t) => {
  const { url, jira, admin } = await start(t)
  const globex = await createCallersAs(url, 'dana', GLOBEX)
  await admin('restrict', { site: 'globex', project: 'PAY', restricted: true })
  t.strictSame(
    [(await jira('/project/PAY')).status, (await globex.jira('/project/PAY')).status],
    [200, 404]
  )
  await admin('reset')
  t.equal((await (await createCallersAs(url, 'dana', GLOBEX)).jira('/project/PAY')).status, 200)
  await t.rejects(
    admin('restrict', { restricted: true }),
    /400 body must name one of project, issue, space, page/
  )
  await t.rejects(
    admin('restrict', { project: 'PAY', page: '1', restricted: true }),
    /400 body must name one of/
  )
  await t.rejects(admin('restrict', { project: 'NOPE', restricted: true }), /400 no project NOPE/)
  await t.rejects(
    admin('restrict', { project: 'PAY', account_id: 'nobody', restricted: true }),
    /400 no account nobody/
  )
  await t.rejects(admin('restrict', { project: 'PAY' }), /400 body.restricted must be a boolean/)
})
