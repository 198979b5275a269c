import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ensureDatabase } from '../database.ts'
import { pickByScale } from '../auth/helper.ts'
import { buildTestApp, waitFor } from '../helper.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { storePages } from './list-filler.ts'

const ITEM_COUNT = 100_000
/** The document has about 23 MB; V8 lets garbage of that size wait. */
const MAX_GROWTH_BYTES = 80 * 1024 * 1024
/** HEAVY=1: longer than the general limit of a request (plugins/time-limit.ts). */
const SLOW_READ_MS = pickByScale(20_000, 130_000)
const LIST_PATH = '/confluence/pages/1'

const cwd = createTempFolder(t)
/** One database with many pages for all tests, which only read it. */
const INTEGRATION_DB_URL = await ensureDatabase(t, join(cwd, 'integration.db'))
const { app: filler } = await buildTestApp(t, { INTEGRATION_DB_URL })
await filler.store.users.findOrCreate('ada@example.com', null)
await storePages(filler, ITEM_COUNT)
await filler.close()

const startFilledProcess = (t: Test) => startServiceProcess(t, { cwd, env: { INTEGRATION_DB_URL } })

async function openResponse(url: string): Promise<IncomingMessage> {
  const [response] = (await once(httpGet(url), 'response')) as [IncomingMessage]
  return response
}

/** Resident bytes of a process. */
function readResidentBytes(pid: number): number {
  const [, kibibytes] =
    /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kibibytes) * 1024
}

/** Reads a response without keeping it; returns how many rows it had, and whether it ended. */
async function countRows(
  response: IncomingMessage,
  onChunk: (bytes: number) => unknown = () => {}
) {
  let [count, rest] = [0, '']
  for await (const chunk of response) {
    rest += String(chunk)
    const parts = rest.split('"page_id":')
    count += parts.length - 1
    // A name may continue in the next chunk.
    rest = (parts.at(-1) ?? '').slice(-20)
    await onChunk((chunk as Buffer).length)
  }
  return { count, isClosed: rest.endsWith(']') }
}

t.test(`A list of ${ITEM_COUNT} items takes no more memory than a few pages of it`, async (t) => {
  const { url, pid } = await startFilledProcess(t)
  // Compiles the code and fills the caches of the database.
  await countRows(await openResponse(url + LIST_PATH))
  const before = readResidentBytes(pid)
  let peak = before
  for (let i = 0; i < 3; i++) {
    const response = await openResponse(url + LIST_PATH)
    t.equal(response.headers['x-total-count'], String(ITEM_COUNT))
    const result = await countRows(response, () => {
      peak = Math.max(peak, readResidentBytes(pid))
    })
    t.same(result, { count: ITEM_COUNT, isClosed: true })
  }
  const growth = peak - before
  t.comment(`resident: ${before} bytes before, at most ${growth} more`)
  t.ok(growth < MAX_GROWTH_BYTES, `${growth} bytes`)
})

t.test('A client that reads slowly gets everything, however long it takes', async (t) => {
  const { url, pid } = await startFilledProcess(t)
  await countRows(await openResponse(url + LIST_PATH))
  const before = readResidentBytes(pid)
  const response = await openResponse(url + LIST_PATH)
  const startedAt = performance.now()
  let peak = before
  let received = 0
  const totalBytes = ITEM_COUNT * 230
  const result = await countRows(response, async (bytes) => {
    received += bytes
    peak = Math.max(peak, readResidentBytes(pid))
    const dueMs = (received / totalBytes) * SLOW_READ_MS - (performance.now() - startedAt)
    if (dueMs > 0) await sleep(dueMs)
  })
  t.same(result, { count: ITEM_COUNT, isClosed: true })
  t.ok(performance.now() - startedAt > 0.9 * SLOW_READ_MS)
  t.ok(peak - before < MAX_GROWTH_BYTES, `${peak - before} bytes`)
})

t.test('A client that does not read stops the reading of the database', async (t) => {
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL })
  const items = app.store.items('pages')
  const readSnapshot = items.readSnapshot.bind(items)
  let readCount = 0
  items.readSnapshot = async function* (...args) {
    for await (const page of readSnapshot(...args)) {
      readCount += page.length
      yield page
    }
  }
  const url = await app.listen({ port: 0 })
  const response = await openResponse(url + LIST_PATH)
  let seen = -1
  await waitFor(async () => {
    const isStalled = readCount === seen
    seen = readCount
    await sleep(500)
    return isStalled
  }, 60_000)
  t.ok(seen < 75_000, `${seen} of ${ITEM_COUNT} were read for the buffers of the connection`)
  t.same(await countRows(response), { count: ITEM_COUNT, isClosed: true })
  t.equal(readCount, ITEM_COUNT)
})
