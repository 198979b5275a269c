import t from 'tap'
import { readdirSync } from 'node:fs'
import { pickByScale } from '../auth/helper.ts'
import { waitFor } from '../helper.ts'
import { HttpBrowser } from '../process/browser-visit.ts'
import type { ServiceProcess } from '../process/child.ts'
import {
  startLoadBalancer,
  connect,
  startDatabaseServer,
  getJson,
  createClusterFixture,
  postJson
} from './helper.ts'

const TINY_SANDBOX = { sizes: { projects: 3, issues: 20, spaces: 3, pages: 40 } }
const server = await startDatabaseServer(t)

t.test(
  'D13 Eight instances that start together on an empty database migrate once and become healthy',
  async (t) => {
    const fixture = await createClusterFixture(t, server)
    const services = await fixture.startServices(8)
    for (const { url } of services) {
      t.match(await getJson(url, '/healthz'), { status: 200, body: { status: 'ok' } })
    }
    const migrationFiles = readdirSync(
      new URL('../../drizzle/postgres/migrations', import.meta.url)
    ).filter((name) => name.endsWith('.sql')).length
    t.same(await fixture.query('select count(*)::int as count from drizzle.__drizzle_migrations'), [
      { count: migrationFiles }
    ])
  }
)

t.test(
  `A10 ${pickByScale(80, 200)} requests that need a refresh cause one exchange across four instances`,
  async (t) => {
    const fixture = await createClusterFixture(t, server, { sandbox: TINY_SANDBOX })
    await connect(t, fixture, 'jira')
    const services = await fixture.startServices(4)
    const rounds = pickByScale(2, 50)
    for (let round = 1; round <= rounds; round++) {
      await fixture.sandbox.admin('clock', { advance_ms: 2 * 3_600_000 })
      await fixture.query('update grants set access_expires_at = $1', [Date.now() - 1])
      await fixture.sandbox.admin('faults', {
        kind: 'delay',
        match: { path: '/oauth/token', method: 'POST' },
        times: 1,
        delay_ms: 200
      })
      const answers = await Promise.all(
        Array.from(
          { length: pickByScale(80, 200) },
          async (_, i) =>
            await postJson(services[i % 4]?.url ?? '', '/users/1/connections/jira/check')
        )
      )
      t.same(
        answers.filter(({ status }) => status !== 200).map(({ body }) => body),
        [],
        `round ${round}`
      )
      t.match(fixture.sandbox.state.stats.snapshot(), {
        exchanges: { refresh_token: { ok: round } }
      })
    }
    t.equal(fixture.sandbox.state.grants.countReuses(), 0)
  }
)

t.test('A hundred sync requests for one owner through four instances start one run', async (t) => {
  const fixture = await createClusterFixture(t, server, { sandbox: TINY_SANDBOX })
  await connect(t, fixture, 'jira')
  const services = await fixture.startServices(4)
  await fixture.sandbox.admin('faults', {
    kind: 'delay',
    match: { path: '/ex/jira' },
    times: 1,
    delay_ms: 500
  })
  const answers = await Promise.all(
    Array.from(
      { length: 100 },
      async (_, i) =>
        await postJson(services[i % 4]?.url ?? '', '/integrations/jira/sync?owner_id=1')
    )
  )
  t.same([...new Set(answers.map(({ status }) => status))], [202])
  t.equal(new Set(answers.map(({ body }) => body.id as number)).size, 1)
  await waitFor(
    async () =>
      (
        await fixture.query('select count(*)::int as count from runs where active_key is not null')
      )[0].count === 0
  )
  t.same(
    await fixture.query('select state, count(*)::int as count from runs group by 1'),
    [{ state: 'succeeded', count: 2 }],
    'the first run and this one'
  )
})

t.test('A login can start, be approved and end at different instances', async (t) => {
  const front = await startLoadBalancer(t)
  const fixture = await createClusterFixture(t, server, {
    env: {
      APP_ENV: 'development',
      PUBLIC_URL: front.url,
      JIRA_OAUTH_REDIRECT_URI: `${front.url}/auth/jira/callback`,
      CONFLUENCE_OAUTH_REDIRECT_URI: `${front.url}/auth/confluence/callback`,
      APP_FRONTEND_URL: ''
    }
  })
  const services = await fixture.startServices(3)
  front.targets.push(...services)
  const visitor = new HttpBrowser()
  for (const product of ['jira', 'confluence'] as const) {
    const { status, url, body } = await visitor.connect(front.url, product)
    t.match(
      { status, url },
      { status: 200, url: /status=success/ },
      `${product} ${body.slice(0, 200)}`
    )
    const run = await waitFor(async () => {
      const { body } = await getJson(
        front.url,
        `/integrations/${product}/sync/runs/${product === 'jira' ? 1 : 2}`
      )
      return ['succeeded', 'failed', 'partial'].includes(body.state as string) && body
    })
    t.match(run, { state: 'succeeded' })
  }
  for (const { url } of services) {
    t.match((await getJson(url, '/jira/projects/1?limit=1')).body, [{ owner_id: 1 }])
    t.match(await postJson(url, '/users/1/connections/jira/check'), {
      status: 200,
      body: { state: 'active' }
    })
  }
  await services[0]?.stop('SIGKILL')
  front.targets.splice(0, 1)
  const { status, url } = await new HttpBrowser().connect(front.url, 'jira')
  t.match({ status, url }, { status: 200, url: /status=success/ }, 'logins continue without it')
})

t.test(
  'E1 A rolling restart under load fails no request to a running instance, and a sync continues',
  async (t) => {
    const fixture = await createClusterFixture(t, server, {
      sandbox: { sizes: { projects: 3, issues: 3, spaces: 3, pages: 4_000 } }
    })
    await connect(t, fixture, 'confluence', async () => {})
    await fixture.query('delete from pages; delete from checkpoints; delete from runs')
    const front = await startLoadBalancer(t)
    front.targets.push(...(await fixture.startServices(3)))
    await fixture.sandbox.admin('faults', {
      kind: 'delay',
      match: { path: '/wiki/api/v2/pages' },
      times: 16,
      delay_ms: 300
    })
    t.match(await postJson(front.url, '/integrations/confluence/sync?owner_id=1&mode=full'), {
      status: 202
    })
    const state = { over: false, answers: [] as number[] }
    const asking = Array.from({ length: 4 }, async () => {
      while (!state.over) state.answers.push((await getJson(front.url, '/users/1')).status)
    })
    for (const old of [...front.targets] as ServiceProcess[]) {
      // Like a load balancer that checks /healthz: stops sending before the instance stops
      // listening.
      const ended = old.stop('SIGTERM')
      front.targets.splice(front.targets.indexOf(old), 1)
      t.equal(await ended, 0)
      front.targets.push(await fixture.startService())
    }
    state.over = true
    await Promise.all(asking)
    t.same([...new Set(state.answers)], [200], `${state.answers.length} answers`)
    await waitFor(
      async () => (await fixture.query('select state from runs'))[0].state === 'succeeded'
    )
    t.same(
      await fixture.query('select count(*)::int as count from pages where deleted_at is null'),
      [{ count: 4_000 }]
    )
  }
)

t.test('Any instance reports progress and cancels a run of another instance', async (t) => {
  const fixture = await createClusterFixture(t, server, {
    sandbox: { sizes: { projects: 3, issues: 3, spaces: 3, pages: 3_000 } }
  })
  await connect(t, fixture, 'confluence', async () => {})
  const working = await fixture.startService()
  const other = await fixture.startService({ SYNC_CONCURRENCY: '1' })
  await waitFor(
    async () =>
      (
        await fixture.query('select count(*)::int as count from runs where active_key is not null')
      )[0].count === 0
  )
  await fixture.sandbox.admin('faults', {
    kind: 'delay',
    match: { path: '/wiki/api/v2/pages' },
    times: 50,
    delay_ms: 300
  })
  const { body: run } = await postJson(
    working.url,
    '/integrations/confluence/sync?owner_id=1&mode=full'
  )
  await waitFor(
    async () =>
      (await fixture.query('select state from runs where id = $1', [run.id]))[0].state === 'running'
  )
  const stream = await fetch(
    `${other.url}/integrations/confluence/sync/runs/${run.id as number}/events`
  )
  t.equal(stream.status, 200)
  let output = ''
  const reading = (async () => {
    for await (const chunk of stream.body ?? []) output += Buffer.from(chunk).toString()
  })()
  await waitFor(async () => /event: progress/.test(output))
  t.match(
    await getJson(other.url, `/integrations/confluence/sync/runs/${run.id as number}`, {
      method: 'DELETE'
    }),
    { body: { state: 'cancelled' } }
  )
  await reading
  t.match(output, /event: end\ndata: .*"cancelled"/)
  const { calls } = (await fixture.query('select calls from runs where id = $1', [run.id]))[0]
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  t.equal(
    (await fixture.query('select calls from runs where id = $1', [run.id]))[0].calls,
    calls,
    'its worker has stopped'
  )
})
