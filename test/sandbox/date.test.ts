import t from 'tap'
import { formatIsoDate, formatJiraDate } from '../../src/sandbox/query/format-date.ts'
import { ACME, createCallers, signIn, startSandbox } from './helper.ts'

const NOW = Date.UTC(2026, 4, 4, 8, 5, 30)

t.test('every response has the sandbox time in its Date header', async (t) => {
  const { url, admin } = await startSandbox(t, { now: () => NOW })
  const { access_token: token } = await signIn(url)
  const { jira } = createCallers(url, token)
  const paths = [
    '/authorize',
    '/authorize.css',
    '/me',
    '/nowhere',
    '/admin/state',
    '/admin/nothing',
    `/ex/jira/${ACME}/rest/api/3/myself`,
    `/ex/confluence/${ACME}/wiki/api/v2/pages`
  ]
  for (const path of paths) {
    t.equal((await fetch(url + path)).headers.get('date'), 'Mon, 04 May 2026 08:05:30 GMT', path)
  }
  for (const kind of ['status', 'html', 'garbage', 'redirect', 'delay-after']) {
    await admin('faults', { kind, match: { path: '*/serverInfo' } })
    const { headers } = await fetch(`${url}/ex/jira/${ACME}/rest/api/3/serverInfo`, {
      redirect: 'manual'
    })
    t.equal(headers.get('date'), 'Mon, 04 May 2026 08:05:30 GMT', kind)
  }
  await admin('clock', { advance_ms: 61_000 })
  t.equal((await jira('/serverInfo')).headers.get('date'), 'Mon, 04 May 2026 08:06:31 GMT')
  await admin('faults', { kind: 'truncate', match: { path: '*/serverInfo' } })
  const cut = await fetch(`${url}/ex/jira/${ACME}/rest/api/3/serverInfo`)
  t.equal(cut.headers.get('date'), 'Mon, 04 May 2026 08:06:31 GMT')
  await t.rejects(cut.text())
})

t.test('a fault can change the Date header', async (t) => {
  const { url, admin } = await startSandbox(t, { now: () => NOW })
  await admin('faults', {
    kind: 'status',
    status: 503,
    headers: { date: 'Mon, 04 May 2026 09:00:00 GMT' }
  })
  t.equal((await fetch(`${url}/me`)).headers.get('date'), 'Mon, 04 May 2026 09:00:00 GMT')
})

t.test('timestamps equal those of toISOString', async (t) => {
  for (const time of [
    0,
    -1,
    NOW,
    NOW + 999,
    NOW - 0.5,
    Date.UTC(2024, 1, 29, 23, 59, 59, 7),
    Date.UTC(1969, 11, 31),
    -62_198_755_200_000
  ]) {
    t.equal(formatIsoDate(time), new Date(time).toISOString())
  }
  for (let day = 0; day < 12_000; day += 7) {
    t.equal(formatIsoDate(NOW + day * 86_400_000), new Date(NOW + day * 86_400_000).toISOString())
  }
  t.equal(formatJiraDate(NOW), '2026-05-04T08:05:30.000+0000')
})
