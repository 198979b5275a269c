import t from 'tap'
import { createCallers, GLOBEX, startSignedIn } from './helper.ts'

const NOW = Date.UTC(2026, 4, 4, 8, 5)
const T_LEFT = 3300

async function start(t: Parameters<typeof startSignedIn>[0]) {
  const sandbox = await startSignedIn(t, { now: () => NOW, hourlyPoints: 100 })
  const readHeaders = async (call: () => Promise<{ status: number; headers: Headers }>) => {
    const { status, headers } = await call()
    return { status, ...Object.fromEntries(headers) } as Record<string, string | number>
  }
  const setAnswers = async (rules: object) =>
    await sandbox.admin('sites/acme/answers', rules, 'PUT')
  return { ...sandbox, setAnswers, readHeaders }
}

t.test('each answer names the quota of the app, and from 80 % on what is left of it', async (t) => {
  const { jira, admin, readHeaders } = await start(t)
  const first = await readHeaders(() => jira('/serverInfo'))
  t.match(first, {
    'ratelimit-policy': '"global-app-quota";q=100;w=3600',
    ratelimit: `"global-app-quota";t=${T_LEFT}`
  })
  t.notOk('x-ratelimit-nearlimit' in first)
  await admin('ledger', { used_by_others: 85 }, 'PUT')
  t.match(await readHeaders(() => jira('/serverInfo')), {
    ratelimit: `"global-app-quota";r=14;t=${T_LEFT}`,
    'x-ratelimit-nearlimit': 'true'
  })
  await admin('ledger', { used_by_others: 100 }, 'PUT')
  t.match(await readHeaders(() => jira('/serverInfo')), {
    status: 429,
    ratelimit: `"global-app-quota";r=0;t=${T_LEFT}`,
    'ratelimit-reason': 'jira-quota-global-based'
  })
  await admin('ledger', { quota: 1000 }, 'PUT')
  t.match(await admin('stats', undefined, 'GET'), {
    points: { 'sandbox-client': { used: 102, limit: 1000 } }
  })
  await admin('clock', { advance_ms: T_LEFT * 1000 })
  t.equal((await jira('/serverInfo')).status, 200)
  t.match(await admin('stats', undefined, 'GET'), { points: { 'sandbox-client': { used: 1 } } })
})

t.test('a site can have its own quota, or both, in any order of policies', async (t) => {
  const { url, token, jira, setAnswers, admin, readHeaders } = await start(t)
  await setAnswers({ rate_variant: 'tenant' })
  t.match(await readHeaders(() => jira('/serverInfo')), {
    ratelimit: `"tenant-app-quota";t=${T_LEFT}`
  })
  await admin('ledger', { used_by_others: 100 }, 'PUT')
  t.equal((await jira('/serverInfo')).status, 200, 'others use their own quota')
  t.equal((await createCallers(url, token, GLOBEX).jira('/serverInfo')).status, 429)
  await admin('ledger', { used_by_others: 85 }, 'PUT')
  await setAnswers({ rate_variant: 'both' })
  t.match(await readHeaders(() => jira('/serverInfo')), {
    'ratelimit-policy':
      '"tenant-app-quota";q=100;w=3600, "global-app-quota";q=100;w=3600, "jira-burst-based";q=350;w=1',
    ratelimit:
      /^"jira-burst-based";r=\d+;t=1, "global-app-quota";t=3300;r=13, "tenant-app-quota";t=3300$/
  })
  await setAnswers({ rate_variant: 'tenant' })
  for (let call = 0; call < 8; call++) await jira('/project/search')
  t.match(await readHeaders(() => jira('/serverInfo')), {
    status: 429,
    'ratelimit-reason': 'jira-quota-tenant-based'
  })
})

t.test('before enforcement the headers are informational and nothing is refused', async (t) => {
  const { jira, setAnswers, admin, readHeaders } = await start(t)
  await admin('ledger', { used_by_others: 200 }, 'PUT')
  await setAnswers({ rate_headers: 'beta' })
  const beta = await readHeaders(() => jira('/serverInfo'))
  t.match(beta, {
    status: 200,
    'beta-ratelimit-policy': '"global-app-quota";q=100;w=3600',
    'beta-ratelimit': `"global-app-quota";r=0;t=${T_LEFT}`
  })
  t.notOk('ratelimit' in beta)
  await admin('ledger', { used_by_others: 0 }, 'PUT')
  await setAnswers({ rate_headers: 'none' })
  t.notMatch(Object.keys(await readHeaders(() => jira('/serverInfo'))).join(), /ratelimit-policy/)
})

t.test('a quota refusal comes without Retry-After, with t alone, or with any reason', async (t) => {
  const { jira, wiki, admin, readHeaders } = await start(t)
  await admin('quota', { exhaust: true, variant: 'no_retry_after' })
  const bare = await readHeaders(() => jira('/serverInfo'))
  t.match(bare, { status: 429, 'x-ratelimit-reset': '2026-05-04T09:00Z' })
  t.notOk('retry-after' in bare)
  await admin('quota', { exhaust: true, variant: 'only_t' })
  const onlyT = await readHeaders(() => jira('/serverInfo'))
  t.match(onlyT, { status: 429, ratelimit: `"global-app-quota";r=0;t=${T_LEFT}` })
  t.notOk(
    ['retry-after', 'ratelimit-reason', 'x-ratelimit-reset', 'x-ratelimit-limit'].some(
      (name) => name in onlyT
    )
  )
  await admin('quota', { exhaust: true, reason: 'jira-cost-based' })
  t.match(await readHeaders(() => jira('/serverInfo')), { 'ratelimit-reason': 'jira-cost-based' })
  await admin('quota', { exhaust: true })
  t.match(await readHeaders(() => wiki('/api/v2/spaces')), {
    'ratelimit-reason': 'conf-global-based'
  })
  await t.rejects(admin('ledger', { quota: -1 }, 'PUT'), /400 quota must be a whole number/)
})
