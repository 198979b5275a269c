import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { readOptions } from './options.ts'
import { formatValues } from './report.ts'
import { saveResults, type Result } from './results.ts'
import { median, percentile } from './statistics.ts'
import { openWriter, type Insert } from './writer.ts'

/**
 * Compares two ways to share commits on SQLite: in the event loop, as the service does, and in a
 * thread of its own. Callers insert a row, wait until it is stored, and insert the next one.
 */
const { quick, rounds, seconds, save } = readOptions('bench:writers', {
  full: { rounds: 4, seconds: 3 },
  quick: { rounds: 1, seconds: 0.2 }
})
const CALLER_COUNT = 64
const WARM_UP_S = quick ? 0.1 : 1
const NS_PER_MS = 1e6

type StoreBatch = (batch: Insert[]) => Promise<number[]>
interface Contender {
  title: string
  open: (path: string) => Promise<{ store: StoreBatch; close: () => Promise<unknown> }>
}
interface Measurement {
  writesPerS: number
  p50Ms: number
  p99Ms: number
  cpuMicros: number
  delayMs: number
}

const CONTENDERS: Record<'loop' | 'thread', Contender> = {
  loop: {
    title: 'Shared commits in the event loop',
    async open(path) {
      const commitBatch = openWriter(path)
      return { store: async (batch) => commitBatch(batch), close: async () => {} }
    }
  },
  thread: {
    title: 'Shared commits in a writer thread',
    async open(path) {
      const worker = new Worker(new URL('writer-thread.ts', import.meta.url), {
        workerData: { path }
      })
      await once(worker, 'message')
      return {
        async store(batch) {
          worker.postMessage(batch)
          const [ids] = (await once(worker, 'message')) as [number[]]
          return ids
        },
        close: async () => await worker.terminate()
      }
    }
  }
}

/** Collects what was asked for in one turn of the event loop, and while a batch is being stored. */
function createQueue(store: StoreBatch) {
  let waiting: Array<{ row: Insert; resolve: (id: number) => void }> = []
  let isRunning = false
  const runBatches = async () => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      const ids = await store(batch.map(({ row }) => row))
      batch.forEach(({ resolve }, i) => {
        resolve(ids[i] ?? NaN)
      })
      await new Promise(setImmediate)
    }
    isRunning = false
  }
  return async (row: Insert): Promise<number> =>
    await new Promise((resolve, reject) => {
      waiting.push({ row, resolve })
      if (isRunning) return
      isRunning = true
      setImmediate(() => {
        runBatches().catch(reject)
      })
    })
}

async function measure({ open }: Contender): Promise<Measurement> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const { store, close } = await open(join(folder, 'writers.db'))
  const write = createQueue(store)
  const state = { nextEmail: 0, isOver: false }
  let latencies: number[] = []
  const calling = Array.from({ length: CALLER_COUNT }, async () => {
    while (!state.isOver) {
      const startedAt = performance.now()
      await write([`person${state.nextEmail++}@example.com`, 'Ada Lovelace', Date.now()])
      latencies.push(performance.now() - startedAt)
    }
  })
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_S * 1_000))
  latencies = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const before = process.cpuUsage()
  const startedAt = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  const { user, system } = process.cpuUsage(before)
  const elapsedS = (performance.now() - startedAt) / 1_000
  delay.disable()
  const measured = latencies.toSorted((a, b) => a - b)
  state.isOver = true
  await Promise.all(calling)
  await close()
  rmSync(folder, { recursive: true })
  return {
    writesPerS: measured.length / elapsedS,
    p50Ms: percentile(measured, 0.5),
    p99Ms: percentile(measured, 0.99),
    cpuMicros: (user + system) / measured.length,
    delayMs: delay.percentile(99) / NS_PER_MS
  }
}

const measured = { loop: [] as Measurement[], thread: [] as Measurement[] }
for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 === 0
    ? (['loop', 'thread'] as const)
    : (['thread', 'loop'] as const)) {
    measured[name].push(await measure(CONTENDERS[name]))
  }
}
const results = (['loop', 'thread'] as const).map((name): Result => {
  const getMedian = (pick: (each: Measurement) => number) => median(measured[name].map(pick))
  return {
    program: 'bench:writers',
    name,
    title: CONTENDERS[name].title,
    engine: 'sqlite',
    conditions: { rounds, seconds, callers: CALLER_COUNT },
    values: [
      { label: 'rows stored', value: getMedian(({ writesPerS }) => writesPerS), unit: '/s' },
      { label: 'p50', value: getMedian(({ p50Ms }) => p50Ms), unit: 'ms' },
      { label: 'p99', value: getMedian(({ p99Ms }) => p99Ms), unit: 'ms' },
      {
        label: 'processor time of a row',
        value: getMedian(({ cpuMicros }) => cpuMicros),
        unit: 'µs'
      },
      {
        label: 'delay of the event loop, p99',
        value: getMedian(({ delayMs }) => delayMs),
        unit: 'ms'
      }
    ]
  }
})
for (const { title, values = [] } of results) console.log(formatValues(title, values))
saveResults(save, results)
