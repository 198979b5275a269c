import t from 'tap'
import { HOUR_MS } from '../time.ts'
import { createCallers, GLOBEX, signIn, startSandbox } from './helper.ts'

const NOW = Date.UTC(2026, 4, 4, 8, 5)

async function start(
  t: Parameters<typeof startSandbox>[0],
  options: Parameters<typeof startSandbox>[1] = {}
) {
  const sandbox = await startSandbox(t, { now: () => NOW, ...options })
  const { access_token: token } = await signIn(sandbox.url)
  return { ...sandbox, token, ...createCallers(sandbox.url, token) }
}

t.test('every API response shows the burst bucket', async (t) => {
  const { jira } = await start(t, { burst: 10 })
  const first = await jira('/myself')
  t.equal(first.headers.get('x-ratelimit-limit'), '10')
  t.equal(first.headers.get('x-ratelimit-remaining'), '9')
  for (let call = 0; call < 8; call++) await jira('/myself')
  const last = await jira('/myself')
  t.equal(last.headers.get('x-ratelimit-remaining'), '0')
  t.equal(last.headers.get('x-ratelimit-nearlimit'), null, 'only the quota sets it')
})

t.test('an empty bucket refuses one endpoint of one site until it refills', async (t) => {
  const { url, token, jira, admin } = await start(t, { burst: 3 })
  for (let call = 0; call < 3; call++) t.equal((await jira('/myself')).status, 200)
  const refused = await jira('/myself')
  t.equal(refused.status, 429)
  t.match(Object.fromEntries(refused.headers), {
    'retry-after': '1',
    'ratelimit-reason': 'jira-burst-based',
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': /^2026-05-04T08:05:01/
  })
  t.equal((await jira('/project/search')).status, 200)
  t.equal((await createCallers(url, token, GLOBEX).jira('/myself')).status, 200)
  await admin('clock', { advance_ms: 2000 })
  t.equal((await jira('/myself')).status, 200)
})

t.test(
  'the hourly points count one per call and one per object, over all sites, until the top of the hour',
  async (t) => {
    const { url, token, jira, wiki, admin } = await start(t, { hourlyPoints: 30 })
    await jira('/project/search')
    t.match(await admin('stats', undefined, 'GET'), {
      points: { 'sandbox-client': { used: 13, limit: 30 } }
    })
    await jira('/project/search')
    const near = await jira('/serverInfo')
    t.match(near.headers.get('ratelimit-policy'), /q=30;w=3600/)
    t.match(near.headers.get('ratelimit'), /r=4;t=3300/)
    await wiki('/api/v2/pages?limit=3')
    const refused = await createCallers(url, token, GLOBEX).wiki('/api/v2/pages')
    t.equal(refused.status, 429)
    t.match(Object.fromEntries(refused.headers), {
      'retry-after': '3600',
      'ratelimit-reason': 'conf-global-based',
      'x-ratelimit-reset': '2026-05-04T09:00Z'
    })
    await admin('clock', { advance_ms: HOUR_MS - 5 * 60_000 })
    t.equal((await jira('/serverInfo')).status, 200)
  }
)

t.test('a quota refusal has the variants seen at Atlassian', async (t) => {
  const { jira, admin } = await start(t)
  const headers = async (variant: string) => {
    await admin('quota', { exhaust: true, variant })
    const { status, headers } = await jira('/serverInfo')
    return { status, ...Object.fromEntries(headers) }
  }
  t.match(await headers('global'), {
    status: 429,
    'ratelimit-reason': 'jira-quota-global-based',
    'retry-after': '3600'
  })
  t.match(await headers('tenant'), { status: 429, 'ratelimit-reason': 'jira-quota-tenant-based' })
  const gateway: Record<string, unknown> = await headers('gateway')
  t.match(gateway, {
    status: 429,
    'x-failure-category': /./,
    'x-ratelimit-limit': '360000',
    'x-ratelimit-reset': '2026-05-04T09:00Z'
  })
  t.notOk('retry-after' in gateway || 'ratelimit-reason' in gateway)
  t.match(await headers('unavailable'), { status: 503, 'retry-after': '30' })
  t.match(await headers('beta'), {
    status: 200,
    'x-beta-ratelimit-reason': 'jira-quota-tenant-based',
    'beta-retry-after': '3600'
  })
  await admin('quota', { exhaust: false })
  t.equal((await jira('/serverInfo')).headers.get('x-beta-ratelimit-reason'), null)
})

t.test('a forced burst refusal can omit headers', async (t) => {
  const { jira, admin } = await start(t)
  await admin('burst', { exhaust: true, variant: 'reset-only', for_ms: 5000 })
  const reset = await jira('/serverInfo')
  t.match(
    {
      status: reset.status,
      retry: reset.headers.get('retry-after'),
      at: reset.headers.get('x-ratelimit-reset')
    },
    { status: 429, retry: null, at: /^2026-05-04T08:05:01/ }
  )
  await admin('burst', { exhaust: true, variant: 'bare' })
  const bare = await jira('/serverInfo')
  t.equal(bare.status, 429)
  t.equal(bare.headers.get('x-ratelimit-reset'), null)
  await admin('clock', { advance_ms: 1000 })
  t.equal((await jira('/serverInfo')).status, 200)
})

t.test('a burst or quota refusal can be forced on one site or on several', async (t) => {
  const { url, token, jira, wiki, admin } = await start(t)
  const other = createCallers(url, token, GLOBEX)
  await admin('burst', { exhaust: true, site: 'acme', for_ms: 5000 })
  t.match(
    await Promise.all([
      jira('/serverInfo'),
      wiki('/api/v2/spaces'),
      other.jira('/serverInfo'),
      other.wiki('/api/v2/spaces')
    ]),
    [{ status: 429 }, { status: 429 }, { status: 200 }, { status: 200 }]
  )
  await admin('quota', { exhaust: true, site: GLOBEX })
  const refused = await other.jira('/serverInfo')
  t.match(
    [refused.status, refused.headers.get('ratelimit-reason')],
    [429, 'jira-quota-tenant-based']
  )
  t.equal((await jira('/serverInfo')).headers.get('ratelimit-reason'), 'jira-burst-based')
  await admin('quota', { exhaust: true, variant: 'unavailable' })
  t.equal((await other.jira('/serverInfo')).status, 429, "the site's limit takes precedence")
  t.equal((await jira('/serverInfo')).status, 503)
  await admin('quota', { exhaust: false, site: GLOBEX })
  t.equal((await other.jira('/serverInfo')).status, 503)
  await admin('quota', { exhaust: true, site: 'globex' })
  await admin('quota', { exhaust: false })
  t.equal((await other.jira('/serverInfo')).status, 200, 'without a site every limit ends')
  await admin('burst', { exhaust: false, site: 'globex' })
  t.equal((await jira('/serverInfo')).status, 429)
  await admin('clock', { advance_ms: 5000 })
  t.equal((await jira('/serverInfo')).status, 200)
  await admin('quota', { exhaust: true, site: 'acme', variant: 'beta' })
  t.match(
    [
      (await jira('/serverInfo')).headers.get('beta-retry-after'),
      (await other.jira('/serverInfo')).headers.get('beta-retry-after')
    ],
    ['3600', null]
  )
  await t.rejects(admin('burst', { exhaust: true, site: 'initech' }), /400 no site initech/)
})
