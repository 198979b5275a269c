import t from 'tap'
import { readdirSync } from 'node:fs'
import { many } from '../auth/helper.ts'
import { Visitor } from '../process/browser-visit.ts'
import type { Started } from '../process/child.ts'
import { balance, connect, database, get, place, post, until } from './helper.ts'

const TINY = { sizes: { projects: 3, issues: 20, spaces: 3, pages: 40 } }
const server = await database(t)

t.test(
  'D13 Eight instances that start at once on an empty database: one migration, eight healthy',
  async (t) => {
    const here = await place(t, server)
    const services = await here.several(8)
    for (const { url } of services) {
      t.match(await get(url, '/healthz'), { status: 200, body: { status: 'ok' } })
    }
    const known = readdirSync(new URL('../../drizzle/postgres/migrations', import.meta.url)).filter(
      (name) => name.endsWith('.sql')
    ).length
    t.same(await here.sql('select count(*)::int as count from drizzle.__drizzle_migrations'), [
      { count: known }
    ])
  }
)

t.test(
  `A10 ${many(80, 200)} requests that need a refresh, over four instances: one exchange, all are served`,
  async (t) => {
    const here = await place(t, server, { sandbox: TINY })
    await connect(t, here, 'jira')
    const services = await here.several(4)
    const rounds = many(2, 50)
    for (let round = 1; round <= rounds; round++) {
      await here.sandbox.admin('clock', { advance_ms: 2 * 3_600_000 })
      await here.sql('update grants set access_expires_at = $1', [Date.now() - 1])
      await here.sandbox.admin('faults', {
        kind: 'delay',
        match: { path: '/oauth/token', method: 'POST' },
        times: 1,
        delay_ms: 200
      })
      const answers = await Promise.all(
        Array.from(
          { length: many(80, 200) },
          async (_, i) => await post(services[i % 4]?.url ?? '', '/users/1/connections/jira/check')
        )
      )
      t.same(
        answers.filter(({ status }) => status !== 200).map(({ body }) => body),
        [],
        `round ${round}`
      )
      t.match(here.sandbox.world.stats.read(), { exchanges: { refresh_token: { ok: round } } })
    }
    t.equal(here.sandbox.world.grants.reuses(), 0)
  }
)

t.test('A hundred requests to sync one owner, over four instances: one run', async (t) => {
  const here = await place(t, server, { sandbox: TINY })
  await connect(t, here, 'jira')
  const services = await here.several(4)
  await here.sandbox.admin('faults', {
    kind: 'delay',
    match: { path: '/ex/jira' },
    times: 1,
    delay_ms: 500
  })
  const answers = await Promise.all(
    Array.from(
      { length: 100 },
      async (_, i) => await post(services[i % 4]?.url ?? '', '/integrations/jira/sync?owner_id=1')
    )
  )
  t.same([...new Set(answers.map(({ status }) => status))], [202])
  t.equal(new Set(answers.map(({ body }) => body.id as number)).size, 1)
  await until(
    async () =>
      (await here.sql('select count(*)::int as count from runs where active_key is not null'))[0]
        .count === 0
  )
  t.same(
    await here.sql('select state, count(*)::int as count from runs group by 1'),
    [{ state: 'succeeded', count: 2 }],
    'the first copy and this one'
  )
})

t.test(
  'A login that is begun, consented to and ended at different instances works, with the built-in sandbox too; nothing is sticky',
  async (t) => {
    const front = await balance(t)
    const here = await place(t, server, {
      env: {
        APP_ENV: 'development',
        PUBLIC_URL: front.url,
        ATLASSIAN_AUTH_URL: '',
        ATLASSIAN_API_URL: '',
        JIRA_OAUTH_CLIENT_ID: '',
        JIRA_OAUTH_CLIENT_SECRET: '',
        JIRA_OAUTH_REDIRECT_URI: '',
        CONFLUENCE_OAUTH_CLIENT_ID: '',
        CONFLUENCE_OAUTH_CLIENT_SECRET: '',
        CONFLUENCE_OAUTH_REDIRECT_URI: '',
        APP_FRONTEND_URL: ''
      }
    })
    const services = await here.several(3)
    front.targets.push(...services)
    const visitor = new Visitor()
    for (const product of ['jira', 'confluence'] as const) {
      const { status, url, body } = await visitor.connect(front.url, product)
      t.match(
        { status, url },
        { status: 200, url: /status=success/ },
        `${product} ${body.slice(0, 200)}`
      )
      const run = await until(async () => {
        const { body } = await get(
          front.url,
          `/integrations/${product}/sync/runs/${product === 'jira' ? 1 : 2}`
        )
        return ['succeeded', 'failed', 'partial'].includes(body.state as string) && body
      })
      t.match(run, { state: 'succeeded' })
    }
    for (const { url } of services) {
      t.match((await get(url, '/jira/projects/1?limit=1')).body, [{ owner_id: 1 }])
      t.match(await post(url, '/users/1/connections/jira/check'), {
        status: 200,
        body: { state: 'active' }
      })
    }
    const [{ owner }] = await here.sql('select owner from leases where name = $1', ['sandbox'])
    const host = services.find(({ url }) => (owner as string).startsWith(`${url}#`))
    t.ok(host, 'one of them has it')
    await host?.stop('SIGKILL')
    front.targets.splice(0, front.targets.length, ...services.filter((each) => each !== host))
    const again = await until(async () => {
      const { status, url } = await new Visitor()
        .connect(front.url, 'jira')
        .catch(() => ({ status: 0, url: '' }))
      return status === 200 && /status=success/.test(url)
    })
    t.ok(again, 'another one has it then, and people connect again')
  }
)

t.test(
  'E1 Instances that are restarted one after the other under load refuse nobody who asks one that is there, and a copy goes on',
  async (t) => {
    const here = await place(t, server, {
      sandbox: { sizes: { projects: 3, issues: 3, spaces: 3, pages: 4_000 } }
    })
    await connect(t, here, 'confluence', async () => {})
    await here.sql('delete from pages; delete from checkpoints; delete from runs')
    const front = await balance(t)
    front.targets.push(...(await here.several(3)))
    await here.sandbox.admin('faults', {
      kind: 'delay',
      match: { path: '/wiki/api/v2/pages' },
      times: 16,
      delay_ms: 300
    })
    t.match(await post(front.url, '/integrations/confluence/sync?owner_id=1&mode=full'), {
      status: 202
    })
    const state = { over: false, answers: [] as number[] }
    const asking = Array.from({ length: 4 }, async () => {
      while (!state.over) state.answers.push((await get(front.url, '/users/1')).status)
    })
    for (const old of [...front.targets] as Started[]) {
      // As a load balancer does that asks /healthz: it stops sending before the instance stops listening.
      const ended = old.stop('SIGTERM')
      front.targets.splice(front.targets.indexOf(old), 1)
      t.equal(await ended, 0)
      front.targets.push(await here.serve())
    }
    state.over = true
    await Promise.all(asking)
    t.same([...new Set(state.answers)], [200], `${state.answers.length} answers`)
    await until(async () => (await here.sql('select state from runs'))[0].state === 'succeeded')
    t.same(await here.sql('select count(*)::int as count from pages where deleted_at is null'), [
      { count: 4_000 }
    ])
  }
)

t.test(
  'Progress is told and a run is cancelled by an instance that does not work at it',
  async (t) => {
    const here = await place(t, server, {
      sandbox: { sizes: { projects: 3, issues: 3, spaces: 3, pages: 3_000 } }
    })
    await connect(t, here, 'confluence', async () => {})
    const working = await here.serve()
    const other = await here.serve({ SYNC_CONCURRENCY: '1' })
    await until(
      async () =>
        (await here.sql('select count(*)::int as count from runs where active_key is not null'))[0]
          .count === 0
    )
    await here.sandbox.admin('faults', {
      kind: 'delay',
      match: { path: '/wiki/api/v2/pages' },
      times: 50,
      delay_ms: 300
    })
    const { body: run } = await post(
      working.url,
      '/integrations/confluence/sync?owner_id=1&mode=full'
    )
    await until(
      async () =>
        (await here.sql('select state from runs where id = $1', [run.id]))[0].state === 'running'
    )
    const stream = await fetch(
      `${other.url}/integrations/confluence/sync/runs/${run.id as number}/events`
    )
    t.equal(stream.status, 200)
    let told = ''
    const reading = (async () => {
      for await (const chunk of stream.body ?? []) told += Buffer.from(chunk).toString()
    })()
    await until(async () => /event: progress/.test(told))
    t.match(
      await get(other.url, `/integrations/confluence/sync/runs/${run.id as number}`, {
        method: 'DELETE'
      }),
      { body: { state: 'cancelled' } }
    )
    await reading
    t.match(told, /event: end\ndata: .*"cancelled"/)
    const { calls } = (await here.sql('select calls from runs where id = $1', [run.id]))[0]
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    t.equal(
      (await here.sql('select calls from runs where id = $1', [run.id]))[0].calls,
      calls,
      'who worked at it has stopped'
    )
  }
)
