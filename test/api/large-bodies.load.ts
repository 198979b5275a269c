import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { ensureDatabase } from '../database.ts'
import { buildTestApp, VAULT_KEY } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { BUILD_PATH, createTempFolder, startServiceProcess } from '../process/child.ts'
import { readRssMb } from '../process/measure.ts'
import { storeLongPages } from './list-filler.ts'

const PAGE_COUNT = pickByScale(30, 100)
const BODY_BYTES = 4 * 1024 * 1024
/** In issue 15, for an otherwise idle machine. */
const MAX_STALL_MS = pickByScale(500, 50)
/** Texts that were sent wait for V8's next full collection: 45 to 90 MB were measured. */
const MAX_GROWTH_MB = 150
/** Prints the longest delay of the event loop so far at each SIGWINCH. */
const STALL_MONITOR =
  'data:text/javascript,import { monitorEventLoopDelay } from "node:perf_hooks";' +
  'const delays = monitorEventLoopDelay({ resolution: 5 }); delays.enable();' +
  'process.on("SIGWINCH", () => { console.log("stall " + delays.max / 1e6); delays.reset() })'

t.test(`T33 ${PAGE_COUNT} pages of 4 MB stall nothing and take little memory`, async (t) => {
  const cwd = createTempFolder(t)
  const url = await ensureDatabase(t, `${cwd}/integration.db`)
  const env = { INTEGRATION_DB_URL: url, VAULT_KEYS: VAULT_KEY }
  const { app } = await buildTestApp(t, env)
  await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  await storeLongPages(app, Array<number>(PAGE_COUNT).fill(BODY_BYTES))
  await app.close()

  const service = await startServiceProcess(t, {
    cwd,
    env,
    main: BUILD_PATH,
    flags: ['--import', STALL_MONITOR]
  })
  const readStall = async () => {
    const before = service.output().length
    service.child.kill('SIGWINCH')
    while (!service.output().slice(before).includes('stall ')) await sleep(10)
    return Number(/stall (\d+)/.exec(service.output().slice(before))?.[1])
  }
  t.teardown(() => {
    if (!t.passing()) t.comment(service.output().slice(-2_000))
  })
  let maxRss = 0
  const watch = setInterval(() => {
    maxRss = Math.max(maxRss, readRssMb(service))
  }, 20)
  t.teardown(() => {
    clearInterval(watch)
  })
  const readBytes = async (path: string) => {
    const response = await fetch(service.url + path)
    let bytes = 0
    for await (const chunk of response.body ?? []) bytes += chunk.length
    return { bytes, next: resolveNextPage(path, response.headers.get('link')) }
  }
  const readList = async (maxAnswers: number) => {
    let [bytes, next] = [0, '/confluence/pages/1?include=body' as string | undefined]
    for (let i = 0; i < maxAnswers && next !== undefined; i++) {
      const answer = await readBytes(next)
      bytes += answer.bytes
      next = answer.next
    }
    return bytes
  }
  for (const [name, read] of [
    ['list', async () => await readList(Infinity)],
    ['export', async () => (await readBytes('/users/1/export')).bytes]
  ] as const) {
    // The first answers compile the code, and V8 enlarges its heap; it then grows no further.
    await read()
    await readStall()
    const before = readRssMb(service)
    maxRss = before
    const bytes = await read()
    const stall = await readStall()
    t.comment(
      `${name}: ${(bytes / 1024 ** 2).toFixed()} MiB, stall ${stall} ms, RSS ${before.toFixed()} → ` +
        `at most ${maxRss.toFixed()} MB`
    )
    t.ok(bytes > PAGE_COUNT * BODY_BYTES, `${name} complete`)
    t.ok(stall < MAX_STALL_MS, `${name}: stall ${stall} ms`)
    t.ok(maxRss < before + MAX_GROWTH_MB, `${name}: ${(maxRss - before).toFixed()} MB more`)
  }
})
