import t from 'tap'
import { startSignedIn } from './helper.ts'

t.test(
  'a moved issue keeps its id, gets the next number of its new project, and answers to its old key',
  async (t) => {
    const { jira, jiraPost, admin } = await startSignedIn(t, { indexLagMs: 0 })
    const { id } = (await jira('/issue/PAY-3')).body
    t.match(await admin('issues/PAY-3', { project: 'OPS', summary: 'Moved' }), {
      id,
      key: 'OPS-26'
    })
    t.match((await jira('/issue/OPS-26')).body, {
      id,
      key: 'OPS-26',
      fields: {
        summary: 'Moved',
        project: { key: 'OPS' },
        description: { content: [{ content: [{ text: 'Revision 2' }] }] }
      }
    })
    t.match((await jira('/issue/PAY-3')).body, { id, key: 'OPS-26' })
    const search = async (jql: string) =>
      (await jiraPost('/search/jql', { jql, fields: ['key'], maxResults: 100 })).body.issues.map(
        ({ key }: { key: string }) => key
      )
    t.notOk((await search('project = PAY')).includes('PAY-3'))
    t.ok((await search('project = OPS order by id')).includes('OPS-26'))
    t.match(await admin('issues', { project: 'OPS' }), { key: 'OPS-27' })
    t.match(
      await admin(`issues/${id}`, { project: 'PAY' }),
      { id, key: 'PAY-26' },
      'a number is never reused'
    )
    t.match(
      await admin(`issues/${id}`, { project: 'PAY' }),
      { id, key: 'PAY-26' },
      'moving to the same project changes nothing'
    )
    for (const key of ['PAY-3', 'OPS-26', 'PAY-26']) {
      t.equal((await jira(`/issue/${key}`)).body.id, id, key)
    }
    for (const key of ['PAY-0', 'PAY-27', 'OPS-28']) {
      t.equal((await jira(`/issue/${key}`)).status, 404, key)
    }
    await t.rejects(admin('issues/PAY-1', { project: 'NOPE' }), /400 no project NOPE/)
  }
)

t.test('search finds a move once the index is up to date', async (t) => {
  const { jiraPost, admin } = await startSignedIn(t)
  await admin('issues/PAY-3', { project: 'OPS' })
  const count = async (jql: string) =>
    (await jiraPost('/search/jql', { jql, maxResults: 100 })).body.issues.length
  t.strictSame([await count('project = PAY'), await count('project = OPS')], [25, 25])
  await admin('clock', { advance_ms: 60_000 })
  t.strictSame([await count('project = PAY'), await count('project = OPS')], [24, 26])
})

t.test(
  'a space can be created, filled, deleted with its pages, and restored with them',
  async (t) => {
    const { wiki, admin } = await startSignedIn(t, { indexLagMs: 0 })
    const { id } = (await admin('spaces', { key: 'NEW', name: 'Brand new' })) as { id: string }
    t.match((await wiki(`/api/v2/spaces/${id}`)).body, {
      id,
      key: 'NEW',
      name: 'Brand new',
      type: 'global',
      status: 'current'
    })
    t.equal((await wiki('/api/v2/spaces')).body.results.at(-1).id, id)
    const page = await admin('pages', { space_id: id, title: 'First' })
    const seen = async () => ({
      space: (await wiki(`/api/v2/spaces/${id}`)).status,
      listed: (await wiki('/api/v2/spaces?keys=new')).body.results.length,
      pages: (await wiki(`/api/v2/spaces/${id}/pages`)).body.results?.length,
      page: (await wiki(`/api/v2/pages/${page.id}`)).status,
      all: (await wiki('/api/v2/pages?limit=250&status=current,archived,trashed,deleted')).body
        .results.length,
      found: (await wiki('/rest/api/search?cql=space=NEW')).body.results.length
    })
    const there = { space: 200, listed: 1, pages: 1, page: 200, all: 61, found: 1 }
    t.strictSame(await seen(), there)
    t.match(await admin('spaces/NEW', { deleted: true }), { id, deleted: true })
    t.strictSame(await seen(), {
      space: 404,
      listed: 0,
      pages: undefined,
      page: 404,
      all: 60,
      found: 0
    })
    await admin(`spaces/${id}`, { deleted: false })
    t.strictSame(await seen(), there)
    t.equal(
      (await wiki(`/api/v2/pages/${page.id}`)).body.version.number,
      1,
      'its pages are unchanged'
    )
    await t.rejects(admin('spaces', { key: 'new' }), /400 the key new is already in use/)
    await t.rejects(admin('spaces', { key: 'a b' }), /400 key must be letters and digits/)
    t.match(await admin('spaces', { key: '~dana' }), { key: '~dana' })
    t.equal((await wiki('/api/v2/spaces?type=personal&keys=~dana')).body.results.length, 1)
  }
)
