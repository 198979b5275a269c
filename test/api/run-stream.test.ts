import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { assertProblem } from './helper.ts'
import { ensureDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  buildSandboxEnv,
  buildAppWithSandbox,
  VAULT_KEY,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { measureDuration } from './synced-service.ts'

interface StreamEvent {
  id: string | undefined
  event: string
  data: any
  atMs: number
}

const startListening = async ({ app }: TestApp): Promise<string> => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}
const startSync = async ({ app }: TestApp, product: string, mode = 'full'): Promise<number> =>
  (await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })).json()
    .id
const getRun = async ({ app }: TestApp, product: string, id: number) =>
  (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json()

/** Reads events like a browser, until the stream ends or `enough` events have arrived. */
async function readEvents(
  url: string,
  {
    lastId,
    enough = Infinity,
    signal
  }: { lastId?: string | undefined; enough?: number; signal?: AbortSignal } = {}
): Promise<{ status: number; type: string | null; streamEvents: StreamEvent[]; text: string }> {
  const leaving = new AbortController()
  const response = await fetch(url, {
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
    signal: AbortSignal.any([leaving.signal, ...(signal === undefined ? [] : [signal])])
  })
  const streamEvents: StreamEvent[] = []
  let [text, rest] = ['', '']
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      const blocks = (rest + Buffer.from(chunk).toString()).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)))
        if (fields.data !== undefined) {
          streamEvents.push({
            id: fields.id,
            event: fields.event,
            data: JSON.parse(fields.data),
            atMs: performance.now()
          })
        }
      }
      if (streamEvents.length >= enough) leaving.abort()
    }
  } catch (error) {
    if (!leaving.signal.aborted && signal?.aborted !== true) throw error
  }
  return { status: response.status, type: response.headers.get('content-type'), streamEvents, text }
}

// These tests mostly wait.
t.jobs = 6

t.test('A stream follows a run from start to end, and its events match the run', async (t) => {
  const service = await buildAppWithSandbox(t, {
    sandbox: { sizes: { pages: 1_500 }, indexLagMs: 0 }
  })
  const url = await startListening(service)
  await service.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 120,
    match: { path: 'api/v2/pages' },
    times: 10
  })
  await new Browser(service.app).connect('confluence')
  const { status, type, streamEvents, text } = await readEvents(
    `${url}/integrations/confluence/sync/runs/1/events`
  )
  t.match({ status, type }, { status: 200, type: /^text\/event-stream/ })
  t.match(text, /^retry: 1000\n\n/)
  t.ok(streamEvents.length > 2, `${streamEvents.length} events`)
  t.same(
    streamEvents.map(({ event }) => event),
    [...streamEvents.slice(1).map(() => 'progress'), 'end'],
    'one end event, at the end'
  )
  const ids = streamEvents.flatMap(({ id }) => id ?? [])
  t.equal(new Set(ids).size, ids.length, 'no id comes twice')
  t.strictSame(streamEvents.at(-1)?.data, await getRun(service, 'confluence', 1))
  const seen = streamEvents.map(({ data }) => data.counts.seen)
  t.same(
    seen,
    seen.toSorted((a, b) => a - b)
  )
  t.ok(
    streamEvents.some(
      ({ data: { progress } }) =>
        progress?.collection === 'pages' && progress.done > 0 && progress.done < 1_500
    )
  )
  const late = await readEvents(`${url}/api/integrations/confluence/sync/runs/1/events`)
  t.match(
    late.streamEvents,
    [{ event: 'end', data: { state: 'succeeded' } }],
    'a late client gets the final state'
  )
  const unchangedStream = await readEvents(`${url}/integrations/confluence/sync/runs/1/events`, {
    lastId: late.streamEvents[0]?.id
  })
  t.match(
    unchangedStream,
    { status: 204, text: '' },
    'a client that has the final state is told not to reconnect'
  )
})

t.test(
  'While Atlassian delays a run, an event comes every second, and a reconnecting client gets no event twice',
  async (t) => {
    const service = await buildAppWithSandbox(t, {
      sandbox: { sizes: { pages: 20 }, indexLagMs: 0 }
    })
    const url = await startListening(service)
    await new Browser(service.app).connect('confluence')
    await waitForRun(service.app, 'confluence')
    await service.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 3_000,
      match: { path: 'api/v2/pages' },
      times: 1
    })
    const id = await startSync(service, 'confluence')
    const events = `${url}/integrations/confluence/sync/runs/${id}/events`
    while ((await getRun(service, 'confluence', id)).progress?.collection !== 'spaces') {
      await sleep(20)
    }
    const first = await readEvents(events, { enough: 1 })
    const lastEventId = first.streamEvents.findLast((event) => event.id !== undefined)?.id
    const { streamEvents } = await readEvents(events, { lastId: lastEventId })
    t.notOk(streamEvents.some((event) => event.id === lastEventId))
    t.equal(streamEvents.at(-1)?.event, 'end')
    const silences = streamEvents.slice(1).map(({ atMs }, i) => atMs - (streamEvents[i]?.atMs ?? 0))
    t.ok(
      streamEvents.length >= 3 && Math.max(...silences) < 1_300,
      `at most ${Math.max(...silences)} ms`
    )
    const strange = await readEvents(events, { lastId: '1.something' })
    t.match(strange.streamEvents, [{ event: 'end' }], 'ignores the event id of another run')
  }
)

t.test('Streams a run of another process, and cancels it within a second', async (t) => {
  const env = {
    INTEGRATION_DB_URL: await ensureDatabase(t, `${createTempFolder(t)}/shared.db`),
    VAULT_KEYS: VAULT_KEY,
    SYNC_INTERVAL: '0'
  }
  const worker = await buildAppWithSandbox(t, {
    env,
    sandbox: { sizes: { pages: 600 }, indexLagMs: 0 }
  })
  const other = await buildTestApp(t, { ...buildSandboxEnv(worker.sandbox.url), ...env })
  const url = await startListening(other)
  await new Browser(worker.app).connect('confluence')
  await waitForRun(worker.app, 'confluence')
  await worker.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 20_000,
    match: { path: 'api/v2/pages' },
    skip: 1,
    times: 1
  })
  const id = await startSync(worker, 'confluence')
  const following = readEvents(`${url}/integrations/confluence/sync/runs/${id}/events`)
  while ((await getRun(other, 'confluence', id)).counts.seen < 250) await sleep(20)
  await sleep(400)
  const [cancelled, ms] = await measureDuration(
    other.app.inject({ method: 'DELETE', url: `/integrations/confluence/sync/runs/${id}` })
  )
  t.match(cancelled.json(), { state: 'cancelled' })
  t.ok(ms < 1_000, `${ms} ms`)
  const { streamEvents } = await following
  t.match(streamEvents.at(-1), {
    event: 'end',
    data: { state: 'cancelled', counts: { seen: /./ } }
  })
  t.ok(
    streamEvents.some(
      ({ event, data }) =>
        event === 'progress' && data.state === 'running' && data.counts.seen >= 250
    )
  )
  assertProblem(
    t,
    await other.app.inject({ method: 'DELETE', url: `/integrations/confluence/sync/runs/${id}` }),
    409,
    'run_ended'
  )
})

t.test('A parked run reports when it resumes, and sends no events in between', async (t) => {
  const service = await buildAppWithSandbox(t)
  const url = await startListening(service)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: 'project/search' },
    times: 1
  })
  const id = await startSync(service, 'jira')
  while ((await getRun(service, 'jira', id)).state !== 'parked') await sleep(20)
  const { streamEvents } = await readEvents(`${url}/integrations/jira/sync/runs/${id}/events`, {
    signal: AbortSignal.timeout(1_200)
  })
  t.match(streamEvents, [
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
  t.equal(streamEvents.length, 1)
  const at = Date.parse(streamEvents[0]?.data.next_run_at)
  t.ok(at > Date.now() + 3_500_000 && at < Date.now() + 3_700_000)
})

t.test(
  'A stream ends when its client disconnects; a stopping service sends no end event, so clients reconnect',
  async (t) => {
    const service = await buildAppWithSandbox(t)
    const url = await startListening(service)
    await new Browser(service.app).connect('jira')
    await waitForRun(service.app, 'jira')
    await service.sandbox.admin('faults', {
      kind: 'hang',
      match: { path: 'project/search' },
      times: 1
    })
    const id = await startSync(service, 'jira')
    const events = `${url}/integrations/jira/sync/runs/${id}/events`
    const { get } = service.app.store.runs
    const seen = { reads: 0 }
    service.app.store.runs.get = async (...which) => {
      seen.reads++
      return await get(...which)
    }
    await readEvents(events, { enough: 1 })
    let before = -1
    for (let look = 0; look < 10 && before !== seen.reads; look++) {
      before = seen.reads
      await sleep(500)
    }
    t.equal(seen.reads, before, 'stops reading the run')
    const head = await fetch(events, { method: 'HEAD' })
    t.match(head.headers.get('content-type'), /^text\/event-stream/, 'HEAD returns at once')
    await sleep(300)
    t.equal(seen.reads, before + 1)
    const following = readEvents(events)
    while (seen.reads < before + 3) await sleep(20)
    const [, ms] = await measureDuration(service.app.close())
    t.ok(ms < 5_000, `${ms} ms`)
    const { streamEvents } = await following
    t.ok(streamEvents.length > 0 && streamEvents.every(({ event }) => event === 'progress'))
  }
)

t.test('Events of an unknown run return a problem document', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  const get = async (path: string, headers = {}) =>
    await service.app.inject({ method: 'GET', url: `/integrations${path}/events`, headers })
  assertProblem(t, await get('/jira/sync/runs/2'), 404, 'run_not_found')
  assertProblem(t, await get('/confluence/sync/runs/1'), 404, 'run_not_found')
  assertProblem(t, await get('/jira/sync/runs/x'), 422, 'validation_failed')
  assertProblem(
    t,
    await get('/jira/sync/runs/1', { 'last-event-id': 'x'.repeat(65) }),
    422,
    'validation_failed'
  )
})
