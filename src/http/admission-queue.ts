import { AsyncLocalStorage } from 'node:async_hooks'
import { createSlots } from '../lib/slots.ts'

/** Time of an event-loop iteration in which requests start. */
const SLICE_MS = 2
const MAX_STARTS_PER_SLICE = 16
/**
 * Iterations between two slices of a long queue. libuv accepts one connection per iteration:
 * without them, new connections are accepted as rarely as slices begin.
 */
const ITERATIONS_BETWEEN_SLICES = 32
/**
 * Started requests that have not ended: they share a commit, so that fewer would make each write dearer.
 * More would only slow each other down.
 */
const MAX_STARTED = 64
/** After this time a request counts no longer: it waits for something else, as a long poll does. */
const STARTED_MS = 250
/** How often the queue looks whether requests have been answered or the database has recovered. */
const BUSY_CHECK_INTERVAL_MS = 1
/**
 * Shorter queues are not refused: a long wait in one is JIT warm-up, a noisy neighbour or a slow
 * database, and no overload.
 */
const MIN_REFUSED_LENGTH = 50
/**
 * EWMA weight: the average covers about the last 50 starts, as many as the shortest queue that is
 * refused. With fewer, one pause of the process counts as if each request took as long.
 */
const EWMA_WEIGHT = 0.02
/** A longer interval is a pause of the process or of the disk, and says nothing about the next starts. */
const MAX_INTERVAL_MS = 20
/** Assumed interval between two starts before the first sample: a burst after the start is no overload. */
const INITIAL_INTERVAL_MS = 1

export interface AdmissionRequest {
  /** The requests of one caller wait for each other. */
  caller: string
  /** @param onClosed to call when the request has ended */
  start: (onClosed: () => void) => void
  /** Whether a response is being streamed: what that costs is shared elsewhere (fair-gate.ts). */
  isStreaming: () => boolean
  refuse: (waitMs: number) => void
  /** Whether nobody waits for the response any more. */
  isAbandoned: () => boolean
}

interface QueuedRequest extends Omit<AdmissionRequest, 'caller'> {
  queuedAt: number
}

export interface AdmissionOptions {
  /** The longest wait that a new request may expect. */
  maxWaitMs: number
  /** Whether so much waits for the database that further requests would only wait there. */
  isDatabaseBusy: () => boolean
}

/**
 * Starts requests at once while there is time. Under load they wait, and callers take turns, so
 * that one caller's requests delay mostly each other. If a new request would have to wait too
 * long, the latest request of the caller with most waiting requests is refused.
 *
 * @returns `canStart`, to ask for each request, and `enqueue` for one that cannot
 */
export function createAdmissionQueue({ maxWaitMs, isDatabaseBusy }: AdmissionOptions) {
  /** The queue of each caller; the first caller is the next one to be served. */
  const queues = new Map<string, QueuedRequest[]>()
  /** Requests that waited, have started and have not ended. */
  const started = createSlots<{ at: number; isStreaming: () => boolean }>()
  let waitingCount = 0
  let isSliceOpen = false
  let sliceStartedAt = 0
  let averageIntervalMs = INITIAL_INTERVAL_MS
  let lastStartedAt = 0

  // Requests that waited start in no other request's async context.
  const runOutside = AsyncLocalStorage.snapshot()
  const isSliceUsed = () => performance.now() - sliceStartedAt > SLICE_MS

  function closeSlice(): void {
    isSliceOpen = waitingCount > 0
    if (!isSliceOpen) return
    if (waitingCount >= MIN_REFUSED_LENGTH) refuseExpired()
    if (isDatabaseBusy() || isFullyOccupied()) {
      setTimeout(closeSlice, BUSY_CHECK_INTERVAL_MS)
      return
    }
    runAfterIterations(waitingCount < MIN_REFUSED_LENGTH ? 1 : ITERATIONS_BETWEEN_SLICES, () => {
      // Immediates run one after another in the next iteration, each with its promise jobs.
      setImmediate(() => {
        sliceStartedAt = performance.now()
      })
      const startCount = Math.min(waitingCount, MAX_STARTS_PER_SLICE)
      for (let i = 0; i < startCount; i++) setImmediate(startNext)
      setImmediate(closeSlice)
    })
  }

  function isFullyOccupied(): boolean {
    if (started.size < MAX_STARTED) return false
    const now = performance.now()
    for (const slot of started.list()) {
      if (slot.value.isStreaming() || now - slot.value.at > STARTED_MS) started.remove(slot)
    }
    return started.size >= MAX_STARTED
  }

  function startNext(): void {
    if (isSliceUsed() || isDatabaseBusy() || isFullyOccupied()) return
    let request = takeNext()
    while (request?.isAbandoned() === true) request = takeNext()
    if (request === undefined) return
    const now = performance.now()
    const intervalMs = Math.min(now - lastStartedAt, MAX_INTERVAL_MS)
    averageIntervalMs += (intervalMs - averageIntervalMs) * EWMA_WEIGHT
    lastStartedAt = now
    const slot = started.add({ at: now, isStreaming: request.isStreaming })
    request.start(() => {
      started.remove(slot)
    })
  }

  function takeNext(): QueuedRequest | undefined {
    const [entry] = queues
    if (entry === undefined) return undefined
    const [caller, queue] = entry
    // The next turn of this caller comes after those of all others.
    if (queue.length === 1 || queues.size > 1) queues.delete(caller)
    if (queue.length > 1) queues.set(caller, queue)
    waitingCount--
    return queue.shift()
  }

  function estimateWait(): number {
    const isStandstill = isDatabaseBusy() || isFullyOccupied()
    return Math.max(
      waitingCount * averageIntervalMs,
      isStandstill ? performance.now() - lastStartedAt : 0
    )
  }

  const isTooLong = () => waitingCount >= MIN_REFUSED_LENGTH && estimateWait() > maxWaitMs

  function removeAbandoned(): void {
    waitingCount = 0
    for (const [caller, queue] of queues) {
      const live = queue.filter(({ isAbandoned }) => !isAbandoned())
      if (live.length === 0) queues.delete(caller)
      else queues.set(caller, live)
      waitingCount += live.length
    }
  }

  function findLongestQueue(): { caller: string; queue: QueuedRequest[] } {
    let longest: { caller: string; queue: QueuedRequest[] } = { caller: '', queue: [] }
    for (const [caller, queue] of queues) {
      if (queue.length > longest.queue.length) longest = { caller, queue }
    }
    return longest
  }

  function refuseLatestOf({ caller, queue }: ReturnType<typeof findLongestQueue>, waitMs: number) {
    const latest = queue.pop()
    // An empty queue would take a turn.
    if (queue.length === 0) queues.delete(caller)
    if (latest === undefined) return
    waitingCount--
    latest.refuse(waitMs)
  }

  /** The wait was estimated; and while the database stands still, nothing starts. */
  function refuseExpired(): void {
    const now = performance.now()
    for (const [caller, queue] of queues) {
      while (queue[0] !== undefined && now - queue[0].queuedAt > 2 * maxWaitMs) {
        waitingCount--
        queue.shift()?.refuse(maxWaitMs)
      }
      if (queue.length === 0) queues.delete(caller)
    }
  }

  /** Whether a request may start at once; otherwise it has to be queued. */
  function canStart(): boolean {
    if (!isSliceOpen) {
      isSliceOpen = true
      sliceStartedAt = performance.now()
      runOutside(setImmediate, closeSlice)
    }
    return waitingCount === 0 && !isSliceUsed() && !isDatabaseBusy()
  }

  function enqueue({ caller, ...request }: AdmissionRequest): void {
    if (waitingCount === 0) lastStartedAt = performance.now()
    if (isTooLong()) removeAbandoned()
    const queue = queues.get(caller) ?? []
    if (isTooLong()) {
      const waitMs = estimateWait()
      const longest = findLongestQueue()
      if (queue.length >= longest.queue.length) {
        request.refuse(waitMs)
        return
      }
      refuseLatestOf(longest, waitMs)
    }
    waitingCount++
    queues.set(caller, queue)
    queue.push({ queuedAt: performance.now(), ...request })
  }

  return { canStart, enqueue }
}

function runAfterIterations(count: number, callback: () => void): void {
  setImmediate(() => {
    if (count <= 1) callback()
    else runAfterIterations(count - 1, callback)
  })
}
