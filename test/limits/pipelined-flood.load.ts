import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import autocannon from 'autocannon'
import t from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { waitFor } from '../helper.ts'
import { BUILD_PATH, startServiceProcess } from '../process/child.ts'
import { readRssMb } from '../process/measure.ts'
import type { TestContext } from '../types.ts'

const SOCKET_COUNT = 40
const REQUESTS_PER_SOCKET = 5_000
const DURATION_MS = pickByScale(5_000, 30_000)
const RECONNECT_MS = 20
const MAX_ANSWER_MS = 1_000
/** Without the limit of pipelined requests it is over 1,000, and 400 if what was read is still parsed. */
const MAX_RSS_MB = 250
/** Left alone, V8 lets garbage lie until the heap has doubled: this measures what is in use. */
const COLLECT_GARBAGE = 'data:text/javascript,setInterval(gc, 1_000).unref()'

/** Keeps sockets full of requests, and opens them again when the service closes them. */
function startFlood(t: TestContext, url: string) {
  const { hostname, port } = new URL(url)
  const requests = Buffer.from(
    'GET /jira/projects/1 HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(REQUESTS_PER_SOCKET)
  )
  const sockets = new Set<Socket>()
  const state = { isOver: false, closedCount: 0 }
  const open = () => {
    if (state.isOver) return
    const socket = connect(Number(port), hostname, () => {
      socket.write(requests)
    })
    sockets.add(socket.resume())
    socket.on('error', () => {})
    socket.once('close', () => {
      sockets.delete(socket)
      state.closedCount++
      setTimeout(open, RECONNECT_MS)
    })
  }
  const stop = () => {
    state.isOver = true
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(stop)
  for (let i = 0; i < SOCKET_COUNT; i++) open()
  return { state, stop }
}

t.test(
  `T32 E5 ${SOCKET_COUNT} sockets with ${REQUESTS_PER_SOCKET} pipelined requests each delay nobody else`,
  async (t) => {
    const service = await startServiceProcess(t, {
      main: BUILD_PATH,
      // The first one as `npm start` has it.
      flags: ['--max-semi-space-size=4', '--expose-gc', '--import', COLLECT_GARBAGE],
      env: { OVERLOAD_AFTER_MS: '300' }
    })
    const post = async (path: string, body: object) =>
      await fetch(service.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
    await post('/users', { email: 'ada@example.com' })
    for (let i = 0; i < 300; i++) {
      await post('/jira/projects', { owner_id: 1, key: `K${i}`, name: `Project ${i}` })
    }
    // V8 enlarges its young generation under any load; the growth of interest is that of the flood.
    await autocannon({
      url: `${service.url}/jira/projects/1`,
      connections: 200,
      duration: 6,
      sampleInt: 1_000,
      requests: [{ method: 'GET', path: '/jira/projects/1' }],
      idReplacement: false
    })
    await waitFor(async () => (await fetch(`${service.url}/users/1`)).status === 200)
    const before = readRssMb(service)
    const flood = startFlood(t, service.url)
    await sleep(200)
    const [times, statuses] = [[] as number[], new Set<number>()]
    let maxRss = 0
    for (const end = performance.now() + DURATION_MS; performance.now() < end;) {
      const startedAt = performance.now()
      const response = await fetch(`${service.url}/users/1`, {
        signal: AbortSignal.timeout(30_000)
      })
      await response.arrayBuffer()
      statuses.add(response.status)
      times.push(performance.now() - startedAt)
      maxRss = Math.max(maxRss, readRssMb(service))
      await sleep(20)
    }
    flood.stop()
    const slowest = Math.max(...times)
    t.comment(
      `${times.length} calls, slowest ${slowest.toFixed()} ms; ${flood.state.closedCount} sockets ` +
        `closed; RSS ${before.toFixed()} → at most ${maxRss.toFixed()} MB`
    )
    t.same([...statuses], [200], 'others are answered')
    t.ok(slowest < MAX_ANSWER_MS, `in time: ${slowest.toFixed()} ms`)
    t.ok(flood.state.closedCount > 0, 'sockets of the flood are closed')
    t.ok(maxRss < MAX_RSS_MB, `memory: ${maxRss.toFixed()} MB`)
  }
)
