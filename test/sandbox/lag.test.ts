import t from 'tap'
import { MINUTE_MS } from '../time.ts'
import type { TestContext } from '../types.ts'
import { startSignedIn } from './helper.ts'

async function start(t: TestContext, options: Parameters<typeof startSignedIn>[1] = {}) {
  const sandbox = await startSignedIn(t, { now: () => Date.UTC(2026, 4, 4, 8), ...options })
  const { jiraPost } = sandbox
  const search = async (jql: string, more = {}) =>
    (await jiraPost('/search/jql', { jql, maxResults: 100, fields: ['summary'], ...more })).body
      .issues
  const findChanged = async (more = {}) =>
    (await search('updated >= "-1d"', more)).map(({ id }: { id: string }) => id)
  return {
    ...sandbox,
    search,
    findChanged,
    advanceClock: (ms: number) => sandbox.admin('clock', { advance_ms: ms })
  }
}

t.test('JQL lags by at least half the configured lag; all other calls do not', async (t) => {
  const { admin, jira, jiraPost, search, findChanged, advanceClock } = await start(t)
  const { id } = (await admin('issues', { project: 'PAY', summary: 'Brand new' })) as { id: string }
  await admin('issues/PAY-1', { summary: 'Changed' })
  await admin('issues/PAY-2', { deleted: true })
  await advanceClock(MINUTE_MS / 2 - 1)
  t.strictSame(await findChanged(), [])
  const found = (await search('project = PAY order by id')) as {
    id: string
    key: string
    fields: { summary: string }
  }[]
  t.notOk(found.some((issue) => issue.id === id))
  t.equal(found.length, 25)
  t.not(found[0]?.fields.summary, 'Changed')
  t.equal(found[1]?.key, 'PAY-2', 'the deleted item is still found')
  t.equal((await jira('/issue/PAY-1')).body.fields.summary, 'Changed')
  t.match(
    (await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: [found[1]?.id, id] })).body.issues,
    [{ id }],
    'fetching it returns nothing'
  )
  t.strictSame((await jiraPost('/search/approximate-count', { jql: 'project = PAY' })).body, {
    count: 25
  })
  await advanceClock(MINUTE_MS / 2 + 1)
  t.strictSame((await findChanged()).sort(), ['10000', id].sort())
  t.equal((await search('project = PAY')).length, 25)
})

t.test('each item has a lag of its own between half and all of it', async (t) => {
  const { admin, findChanged, advanceClock } = await start(t)
  for (let number = 1; number <= 25; number++) await admin(`issues/PAY-${number}`, { summary: 'x' })
  await advanceClock((MINUTE_MS * 3) / 4)
  const halfway = (await findChanged()).length
  t.ok(halfway > 2 && halfway < 23, `${halfway} of 25`)
})

t.test(
  'changes are indexed in order, so that a frequently edited item lags no longer than others',
  async (t) => {
    const { admin, search, advanceClock } = await start(t)
    const seen: string[] = []
    for (let second = 0; second < 90; second++) {
      if (second <= 30 && second % 10 === 0) {
        await admin('issues/PAY-1', { summary: `after ${second}` })
      }
      seen.push((await search('key = PAY-1'))[0].fields.summary)
      await advanceClock(1000)
    }
    const callsPerSummary = seen.reduce(
      (counts, summary) => counts.set(summary, (counts.get(summary) ?? 0) + 1),
      new Map<string, number>()
    )
    t.strictSame([...callsPerSummary].slice(1, 4), [
      ['after 0', 10],
      ['after 10', 10],
      ['after 20', 10]
    ])
    const [callsBefore = 0] = callsPerSummary.values()
    t.ok(callsBefore >= 30 && callsBefore <= 60)
    t.equal(seen.at(-1), 'after 30')
  }
)

t.test('raising the lag hides nothing that search found before', async (t) => {
  const { admin, findChanged, search } = await start(t)
  await admin('issues/PAY-1', { summary: 'old' })
  await admin('lag', { ms: 0 })
  await admin('issues/PAY-1', { summary: 'seen' })
  await admin('lag', { ms: MINUTE_MS })
  t.strictSame(await findChanged(), ['10000'])
  await admin('issues/PAY-1', { summary: 'not yet' })
  t.equal((await search('key = PAY-1'))[0].fields.summary, 'seen')
})

t.test('the lag is an option, can be changed at any time, and is restored by reset', async (t) => {
  const { state, admin, wiki, findChanged, advanceClock } = await start(t, {
    indexLagMs: 10 * MINUTE_MS
  })
  await admin('issues/PAY-1', { summary: 'Changed' })
  await advanceClock(4 * MINUTE_MS)
  t.strictSame(await findChanged(), [])
  await admin('lag', { ms: 0 })
  t.strictSame(await findChanged(), ['10000'], 'pending changes are indexed')
  const [page] = (await wiki('/api/v2/pages?status=current')).body.results
  await admin(`pages/${page.id}`, { title: 'Needle' })
  t.equal(
    (await wiki('/rest/api/search?cql=title~needle')).body.results.length,
    1,
    'CQL has the same lag'
  )
  t.match(await admin('state', undefined, 'GET'), { index_lag_ms: 0 })
  await admin('reset')
  t.equal(state.indexLagMs(), 10 * MINUTE_MS)
  await t.rejects(admin('lag', { ms: -1 }), /400 ms must be a whole number from 0/)
  await t.rejects(admin('lag', {}), /400 body.ms must be a number/)
})

t.test('reconcileIssues returns current issues, by GET and by POST', async (t) => {
  const { admin, jira, jiraPost, findChanged } = await start(t)
  const { id } = (await admin('issues', { project: 'PAY' })) as { id: string }
  await admin('issues/PAY-1', { summary: 'Changed' })
  t.strictSame(await findChanged({ reconcileIssues: [Number(id)] }), [id])
  const { body } = await jira(
    `/search/jql?jql=${encodeURIComponent('updated >= "-1d" order by id')}` +
      `&reconcileIssues=${id}&reconcileIssues=10000`
  )
  t.strictSame(body.issues, [{ id: '10000' }, { id }])
  t.equal(
    (await jiraPost('/search/jql', { jql: 'project = PAY', reconcileIssues: Array(51).fill(1) }))
      .status,
    400
  )
  t.equal(
    (await jiraPost('/search/jql', { jql: 'project = PAY', reconcileIssues: '1' })).status,
    400
  )
})

t.test(
  'a deleted project leaves the index after the lag, and so does a space with its pages',
  async (t) => {
    const { admin, search, wiki, advanceClock } = await start(t)
    const titles = async () =>
      (await wiki('/rest/api/search?cql=type=page&limit=100')).body.results.length
    const before = [(await search('project is not EMPTY')).length, await titles()]
    const {
      results: [space]
    } = (await wiki('/api/v2/spaces')).body
    await admin('projects/PAY', { deleted: true })
    await admin(`spaces/${space.key}`, { deleted: true })
    t.strictSame([(await search('project is not EMPTY')).length, await titles()], before)
    await advanceClock(MINUTE_MS)
    t.notOk(
      (await search('project is not EMPTY')).some(({ key }: { key: string }) =>
        key.startsWith('PAY-')
      )
    )
    t.ok((await titles()) < before[1])
  }
)
