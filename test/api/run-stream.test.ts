import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { problem } from './helper.ts'
import { databaseAt } from '../database.ts'
import { Browser, build, configured, connected, KEY, synced, type Built } from '../helper.ts'
import { folder } from '../process/child.ts'
import { timed } from './synced-service.ts'

interface Told {
  id: string | undefined
  event: string
  data: any
  atMs: number
}

const listen = async ({ app }: Built): Promise<string> => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}
const start = async ({ app }: Built, product: string, mode = 'full'): Promise<number> =>
  (await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })).json()
    .id
const runOf = async ({ app }: Built, product: string, id: number) =>
  (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json()

/** Reads events as a browser does, until the stream ends or `enough` of them have come. */
async function listening(
  url: string,
  {
    lastId,
    enough = Infinity,
    signal
  }: { lastId?: string | undefined; enough?: number; signal?: AbortSignal } = {}
): Promise<{ status: number; type: string | null; told: Told[]; text: string }> {
  const leaving = new AbortController()
  const response = await fetch(url, {
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
    signal: AbortSignal.any([leaving.signal, ...(signal === undefined ? [] : [signal])])
  })
  const told: Told[] = []
  let [text, rest] = ['', '']
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      const blocks = (rest + Buffer.from(chunk).toString()).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)))
        if (fields.data !== undefined) {
          told.push({
            id: fields.id,
            event: fields.event,
            data: JSON.parse(fields.data),
            atMs: performance.now()
          })
        }
      }
      if (told.length >= enough) leaving.abort()
    }
  } catch (error) {
    if (!leaving.signal.aborted && signal?.aborted !== true) throw error
  }
  return { status: response.status, type: response.headers.get('content-type'), told, text }
}

// They mostly wait.
t.jobs = 6

t.test(
  'A run can be followed from its start to its end, and what is told is what the run says',
  async (t) => {
    const service = await connected(t, { sandbox: { sizes: { pages: 1_500 }, indexLagMs: 0 } })
    const url = await listen(service)
    await service.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 120,
      match: { path: 'api/v2/pages' },
      times: 10
    })
    await new Browser(service.app).connect('confluence')
    const { status, type, told, text } = await listening(
      `${url}/integrations/confluence/sync/runs/1/events`
    )
    t.match({ status, type }, { status: 200, type: /^text\/event-stream/ })
    t.match(text, /^retry: 1000\n\n/)
    t.ok(told.length > 2, `${told.length} events`)
    t.same(
      told.map(({ event }) => event),
      [...told.slice(1).map(() => 'progress'), 'end'],
      'one end, and at the end'
    )
    const ids = told.flatMap(({ id }) => id ?? [])
    t.equal(new Set(ids).size, ids.length, 'nothing is told twice under an id')
    t.strictSame(told.at(-1)?.data, await runOf(service, 'confluence', 1))
    const seen = told.map(({ data }) => data.counts.seen)
    t.same(
      seen,
      seen.toSorted((a, b) => a - b)
    )
    t.ok(
      told.some(
        ({ data: { progress } }) =>
          progress?.collection === 'pages' && progress.done > 0 && progress.done < 1_500
      )
    )
    const late = await listening(`${url}/api/integrations/confluence/sync/runs/1/events`)
    t.match(
      late.told,
      [{ event: 'end', data: { state: 'succeeded' } }],
      'whoever comes late is told how it ended'
    )
    const known = await listening(`${url}/integrations/confluence/sync/runs/1/events`, {
      lastId: late.told[0]?.id
    })
    t.match(known, { status: 204, text: '' }, 'and who knows that is told not to come back')
  }
)

t.test(
  'While Atlassian keeps a run waiting there is an event every second, and whoever comes back is not told again what it knows',
  async (t) => {
    const service = await connected(t, { sandbox: { sizes: { pages: 20 }, indexLagMs: 0 } })
    const url = await listen(service)
    await new Browser(service.app).connect('confluence')
    await synced(service.app, 'confluence')
    await service.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 3_000,
      match: { path: 'api/v2/pages' },
      times: 1
    })
    const id = await start(service, 'confluence')
    const events = `${url}/integrations/confluence/sync/runs/${id}/events`
    while ((await runOf(service, 'confluence', id)).progress?.collection !== 'spaces') {
      await sleep(20)
    }
    const first = await listening(events, { enough: 1 })
    const known = first.told.findLast((event) => event.id !== undefined)?.id
    const { told } = await listening(events, { lastId: known })
    t.notOk(told.some((event) => event.id === known))
    t.equal(told.at(-1)?.event, 'end')
    const silences = told.slice(1).map(({ atMs }, i) => atMs - (told[i]?.atMs ?? 0))
    t.ok(told.length >= 3 && Math.max(...silences) < 1_300, `at most ${Math.max(...silences)} ms`)
    const strange = await listening(events, { lastId: '1.something' })
    t.match(
      strange.told,
      [{ event: 'end' }],
      "an id that is not one of this run's counts for nothing"
    )
  }
)

t.test(
  'A run that another process works at is followed just as well, and cancelled within a second',
  async (t) => {
    const env = {
      INTEGRATION_DB_URL: await databaseAt(t, `${folder(t)}/shared.db`),
      VAULT_KEYS: KEY,
      SYNC_INTERVAL: '0'
    }
    const worker = await connected(t, { env, sandbox: { sizes: { pages: 600 }, indexLagMs: 0 } })
    const other = await build(t, { ...configured(worker.sandbox.url), ...env })
    const url = await listen(other)
    await new Browser(worker.app).connect('confluence')
    await synced(worker.app, 'confluence')
    await worker.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 20_000,
      match: { path: 'api/v2/pages' },
      skip: 1,
      times: 1
    })
    const id = await start(worker, 'confluence')
    const following = listening(`${url}/integrations/confluence/sync/runs/${id}/events`)
    while ((await runOf(other, 'confluence', id)).counts.seen < 250) await sleep(20)
    await sleep(400)
    const [cancelled, ms] = await timed(
      other.app.inject({ method: 'DELETE', url: `/integrations/confluence/sync/runs/${id}` })
    )
    t.match(cancelled.json(), { state: 'cancelled' })
    t.ok(ms < 1_000, `${ms} ms`)
    const { told } = await following
    t.match(told.at(-1), { event: 'end', data: { state: 'cancelled', counts: { seen: /./ } } })
    t.ok(
      told.some(
        ({ event, data }) =>
          event === 'progress' && data.state === 'running' && data.counts.seen >= 250
      )
    )
    problem(
      t,
      await other.app.inject({ method: 'DELETE', url: `/integrations/confluence/sync/runs/${id}` }),
      409,
      'run_ended'
    )
  }
)

t.test('A parked run says until when, and is not chattered about', async (t) => {
  const service = await connected(t)
  const url = await listen(service)
  await new Browser(service.app).connect('jira')
  await synced(service.app, 'jira')
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: 'project/search' },
    times: 1
  })
  const id = await start(service, 'jira')
  while ((await runOf(service, 'jira', id)).state !== 'parked') await sleep(20)
  const { told } = await listening(`${url}/integrations/jira/sync/runs/${id}/events`, {
    signal: AbortSignal.timeout(1_200)
  })
  t.match(told, [
    {
      event: 'progress',
      data: {
        state: 'parked',
        next_run_at: /Z$/,
        finished_at: null,
        error: { code: 'upstream_rate_limited' }
      }
    }
  ])
  t.equal(told.length, 1)
  const at = Date.parse(told[0]?.data.next_run_at)
  t.ok(at > Date.now() + 3_500_000 && at < Date.now() + 3_700_000)
})

t.test(
  'Events end when the client has gone, and without an end when the service stops, so that the client comes back',
  async (t) => {
    const service = await connected(t)
    const url = await listen(service)
    await new Browser(service.app).connect('jira')
    await synced(service.app, 'jira')
    await service.sandbox.admin('faults', {
      kind: 'hang',
      match: { path: 'project/search' },
      times: 1
    })
    const id = await start(service, 'jira')
    const events = `${url}/integrations/jira/sync/runs/${id}/events`
    const { get } = service.app.store.runs
    const seen = { reads: 0 }
    service.app.store.runs.get = async (...which) => {
      seen.reads++
      return await get(...which)
    }
    await listening(events, { enough: 1 })
    let before = -1
    for (let look = 0; look < 10 && before !== seen.reads; look++) {
      before = seen.reads
      await sleep(500)
    }
    t.equal(seen.reads, before, 'nobody reads the run any more')
    const head = await fetch(events, { method: 'HEAD' })
    t.match(
      head.headers.get('content-type'),
      /^text\/event-stream/,
      'and who asks for the head alone has it at once'
    )
    await sleep(300)
    t.equal(seen.reads, before + 1)
    const following = listening(events)
    while (seen.reads < before + 3) await sleep(20)
    const [, ms] = await timed(service.app.close())
    t.ok(ms < 5_000, `${ms} ms`)
    const { told } = await following
    t.ok(told.length > 0 && told.every(({ event }) => event === 'progress'))
  }
)

t.test('Events of a run that is not there are a problem document', async (t) => {
  const service = await connected(t)
  await new Browser(service.app).connect('jira')
  await synced(service.app, 'jira')
  const get = async (path: string, headers = {}) =>
    await service.app.inject({ method: 'GET', url: `/integrations${path}/events`, headers })
  problem(t, await get('/jira/sync/runs/2'), 404, 'run_not_found')
  problem(t, await get('/confluence/sync/runs/1'), 404, 'run_not_found')
  problem(t, await get('/jira/sync/runs/x'), 422, 'validation_failed')
  problem(
    t,
    await get('/jira/sync/runs/1', { 'last-event-id': 'x'.repeat(65) }),
    422,
    'validation_failed'
  )
})
