import t from 'tap'
import type { CallLogEntry } from '../../src/sandbox/gateway/stats.ts'
import { startSignedIn } from './helper.ts'

t.test('the log records the cursor of a call, and none for a first page', async (t) => {
  const { jira, jiraPost, wiki, state, token } = await startSignedIn(t)
  await jira('/project/search?startAt=5&maxResults=5')
  const { nextPageToken } = (await jira('/search/jql?jql=project=PAY&maxResults=1')).body
  await jira(`/search/jql?jql=project=PAY&maxResults=1&nextPageToken=${nextPageToken}`)
  await jiraPost('/search/jql', { jql: 'project=PAY', maxResults: 1, nextPageToken })
  await jiraPost('/search/jql', { jql: 'project=PAY', maxResults: 1, nextPageToken: null })
  const { next } = (await wiki('/api/v2/pages?limit=2')).body._links
  await wiki(next.slice('/wiki'.length))
  await wiki(`/api/v2/pages?cursor=${token}`)
  await wiki('/api/v2/pages?cursor=a.b&code=secret')
  const { log } = state.stats.snapshot()
  const places = log
    .slice(-9)
    .map(({ cursor, startAt, nextPageToken }: CallLogEntry) => ({ cursor, startAt, nextPageToken }))
  t.match(places[0], { startAt: '5', cursor: undefined, nextPageToken: undefined })
  t.strictSame(
    places.slice(1, 5).map(({ nextPageToken }) => nextPageToken),
    [undefined, nextPageToken, nextPageToken, undefined]
  )
  t.equal(places[5]?.cursor, undefined)
  t.equal(places[6]?.cursor, new URLSearchParams(next.split('?')[1]).get('cursor'))
  t.match(
    places[7]?.cursor,
    /^#[0-9a-f]{16}$/,
    'values that may be secrets are distinguishable but not readable'
  )
  t.match(places[8]?.cursor, /^#[0-9a-f]{16}$/)
  t.notOk(JSON.stringify(log).includes(token) || JSON.stringify(log).includes('secret'))
})

t.test('the log names the fault of an affected call', async (t) => {
  const { wiki, state, admin } = await startSignedIn(t)
  await admin('faults', { kind: 'status', match: { path: '*/pages' } })
  await wiki('/api/v2/pages?cursor=abc')
  t.match(state.stats.snapshot().log.at(-1), { status: 0, cursor: 'abc' })
})

t.test('the log keeps the configured number of calls, 1000 by default', async (t) => {
  for (const [maxLogEntries, expected] of [
    [3, 3],
    [0, 0],
    [undefined, 1000],
    [1500, 1500]
  ]) {
    const { state } = await startSignedIn(t, maxLogEntries === undefined ? {} : { maxLogEntries })
    for (let call = 0; call < 3100; call++) {
      state.stats.recordCall('x', { at: call, method: 'GET', path: '/', status: 200, token: null })
    }
    const { log } = state.stats.snapshot()
    t.equal(log.length, expected)
    t.match(log, expected === 0 ? [] : [{ at: 3100 - Number(expected) }])
  }
})
