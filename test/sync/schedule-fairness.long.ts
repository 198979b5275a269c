import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Product } from '../auth/helper.ts'
import { databaseAt } from '../database.ts'
import { Browser, build, CLIENTS, configured, synced } from '../helper.ts'
import { folder } from '../process/child.ts'
import {
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  place,
  run,
  start,
  until,
  type Place,
  type Row
} from './time-helper.ts'

/** A quarter of an hour and the most that is added to it. */
const INTERVAL_MS = 17 * MINUTE_MS
const DEFAULT = { SYNC_INTERVAL: '15' }

const runs = async ({ app }: Pick<Place, 'app'>, product: Product, owner = 1) =>
  (await app.inject(`/integrations/${product}/sync/runs?owner_id=${owner}`)).json() as Row[]
/** So many people with both products; the first of them is there already. */
async function people(here: Place, count: number): Promise<void> {
  for (let owner = 2; owner <= count; owner++) {
    for (const product of ['jira', 'confluence'] as const) {
      await new Browser(here.app).connect(
        product,
        `&state=${encodeURIComponent(`email=p${owner}@example.com`)}`
      )
      await synced(here.app, product, (await runs(here, product, owner))[0]?.id)
    }
  }
}
/** The newest run of a product when it has ended. */
const last = async (here: Place, product: Product) =>
  await synced(here.app, product, (await runs(here, product))[0]?.id)

t.test('A service that listens keeps the schedule by itself', async (t) => {
  const here = await place(t, { env: DEFAULT })
  here.pass(INTERVAL_MS)
  await here.app.listen({ port: 0, host: '127.0.0.1' })
  for (const count of [2, 3]) {
    await until(
      async () =>
        (await runs(here, 'jira')).length === count &&
        (await runs(here, 'confluence')).length === count
    )
    t.match(
      [await last(here, 'jira'), await last(here, 'confluence')],
      [{ state: 'succeeded' }, { state: 'succeeded' }]
    )
    here.pass(INTERVAL_MS)
  }
})

t.test(
  'T37 Whoever has nothing under way goes before whoever has, also if he asked later',
  async (t) => {
    const here = await place(t, { env: { SYNC_CONCURRENCY: '2' } })
    await people(here, 3)
    const delay = async (path: string, ms: number) =>
      await here.sandbox.admin('faults', { kind: 'delay', delay_ms: ms, match: { path } })
    // Both places are taken; the second will be free first.
    await delay('/search/jql', 1_500)
    const long = await start(here.app, 'jira', 'incremental', 1)
    await until(async () => here.sandbox.world.faults.list().length === 0)
    await delay('/rest/api/search', 250)
    await start(here.app, 'confluence', 'incremental', 2)
    await until(async () => here.sandbox.world.faults.list().length === 0)
    const [second, other, third] = [
      await start(here.app, 'confluence', 'incremental', 1),
      await start(here.app, 'jira', 'incremental', 3),
      await start(here.app, 'confluence', 'incremental', 3)
    ]
    const ended = await Promise.all(
      (
        [
          [second, 'confluence'],
          [other, 'jira'],
          [third, 'confluence'],
          [long, 'jira']
        ] as const
      ).map(async ([id, product]) => await synced(here.app, product, id))
    )
    t.ok(ended.every(({ state }) => state === 'succeeded'))
    const [ofBusy, ofFree] = ended.map(({ started_at: at }) => Date.parse(at))
    t.ok(Number(ofFree) < Number(ofBusy), 'the one who has nothing under way was served first')
    t.ok(
      Number(ofBusy) < Date.parse(ended[3]?.finished_at),
      'but room that nobody else wants is not kept free'
    )
  }
)

t.test(
  'A run that failed, or was cancelled, is followed by the next one in its time',
  async (t) => {
    const here = await place(t, { env: DEFAULT })
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 403,
      times: 2,
      match: { path: '/ex/jira/' }
    })
    here.pass(INTERVAL_MS)
    await here.app.schedule.once()
    t.match(
      [await last(here, 'jira'), await last(here, 'confluence')],
      [{ state: 'failed' }, { state: 'succeeded' }]
    )
    const { next_sync_at: next, state } = await here.connection('jira')
    t.equal(state, 'active')
    const away = (Date.parse(next) - here.sandbox.world.now()) / MINUTE_MS
    t.ok(away > 13 && away < 17, `the next one is ${away} minutes away`)
    await here.sandbox.admin('faults', { kind: 'hang', match: { path: '/ex/jira/' } })
    here.pass(INTERVAL_MS)
    await here.app.schedule.once()
    await until(async () => here.sandbox.world.faults.list().length === 0)
    const [{ id } = { id: 0 }] = await runs(here, 'jira')
    t.match(
      (
        await here.app.inject({ method: 'DELETE', url: `/integrations/jira/sync/runs/${id}` })
      ).json(),
      { state: 'cancelled' }
    )
    here.pass(INTERVAL_MS)
    await here.app.schedule.once()
    t.match(await last(here, 'jira'), { state: 'succeeded' })
    t.equal((await runs(here, 'jira')).length, 4)
  }
)

t.test(
  'A long wait that Atlassian asks for is no reason to queue the connection twice',
  async (t) => {
    const here = await place(t, { env: DEFAULT })
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '3600' },
      match: { path: '/ex/jira/' }
    })
    here.pass(INTERVAL_MS)
    await here.app.schedule.once()
    await until(async () => (await runs(here, 'jira'))[0]?.state === 'parked')
    const [parked] = await runs(here, 'jira')
    for (let i = 0; i < 3; i++) {
      here.pass(INTERVAL_MS)
      await here.app.schedule.once()
    }
    t.same(await runs(here, 'jira'), [parked, (await runs(here, 'jira')).at(-1)])
    here.pass(INTERVAL_MS)
    await here.app.schedule.once()
    t.match(
      await last(here, 'jira'),
      { id: parked?.id, state: 'succeeded' },
      'the same run, when its time has come'
    )
  }
)

const NEEDS: Record<string, (t: Test) => Promise<Place>> = {
  async needs_site(t) {
    const here = await place(t, {
      env: DEFAULT,
      products: [],
      sandbox: { clients: CLIENTS.map((client) => ({ ...client, access: 'account' as const })) }
    })
    await new Browser(here.app).connect('jira')
    return here
  },
  async scope_missing(t) {
    const here = await place(t, { env: DEFAULT, products: ['jira'] })
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 401,
      headers: { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' },
      times: 4,
      match: { path: '/ex/jira/' }
    })
    await here.copy('jira')
    return here
  },
  async needs_reconnect(t) {
    const here = await place(t, { env: DEFAULT, products: ['jira'] })
    await here.sandbox.admin('revoke', {})
    here.pass(2 * HOUR_MS)
    await here.copy('jira')
    return here
  }
}

for (const [state, make] of Object.entries(NEEDS)) {
  t.test(`A connection that is ${state} is left alone until its person has acted`, async (t) => {
    const here = await make(t)
    t.match(await here.connection('jira'), { state })
    await until(async () => (await runs(here, 'jira')).every(({ finished_at: at }) => at !== null))
    const before = await runs(here, 'jira')
    const log = await here.asked(async () => {
      for (let i = 0; i < 3; i++) {
        here.pass(INTERVAL_MS)
        await here.app.schedule.once()
        await sleep(20)
      }
    })
    t.same(await runs(here, 'jira'), before)
    t.same(log, [])
  })
}

t.test(
  'Processes that share a database copy each connection once, whoever of them comes first',
  async (t) => {
    const env = {
      ...DEFAULT,
      INTEGRATION_DB_URL: await databaseAt(t, join(folder(t), 'shared.db'))
    }
    const here = await place(t, { env })
    await people(here, 3)
    let ahead = 0
    const there = await build(
      t,
      { ...configured(here.sandbox.url), ATLASSIAN_HOURLY_POINTS: '100000000', ...env },
      () => Date.now() + ahead
    )
    for (let turn = 1; turn <= 3; turn++) {
      here.pass(INTERVAL_MS)
      ahead += INTERVAL_MS
      await Promise.all([
        here.app.schedule.once(),
        there.app.schedule.once(),
        here.app.schedule.once(),
        there.app.schedule.once()
      ])
      for (const owner of [1, 2, 3]) {
        for (const product of ['jira', 'confluence'] as const) {
          await until(async () =>
            (await runs(here, product, owner)).every(({ state }) => state === 'succeeded')
          )
          t.equal((await runs(there, product, owner)).length, 1 + turn)
        }
      }
    }
  }
)

t.test('With SYNC_INTERVAL=0 a run that was put aside goes on all the same', async (t) => {
  const here = await place(t)
  await here.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/ex/jira/' }
  })
  const id = await start(here.app, 'jira')
  await until(async () => (await run(here, 'jira', id)).state === 'parked')
  here.pass(DAY_MS)
  await here.app.schedule.once()
  t.match(await synced(here.app, 'jira', id), { state: 'succeeded' })
})
