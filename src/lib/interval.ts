/** Work that is done again and again for as long as a service lives, never twice at the same time. */
export interface IntervalJob {
  /** Does it once, or joins who does it already; resolves when it is done. */
  runNow: () => Promise<void>
  /** Does it now, and again and again. */
  start: () => void
  /** Ends it; what is under way is waited for, and nothing is begun any more. */
  stop: () => Promise<void>
  isStopped: () => boolean
}

/** @param work must not reject: there is a next time */
export function createIntervalJob(work: () => Promise<void>, intervalMs: number): IntervalJob {
  let timer: NodeJS.Timeout | undefined
  let currentRun: Promise<void> | undefined
  let hasStopped = false

  async function runNow(): Promise<void> {
    currentRun ??= work().finally(() => {
      currentRun = undefined
    })
    await currentRun
  }

  return {
    runNow,
    start() {
      if (hasStopped) return
      timer = setInterval(runNow, intervalMs).unref()
      runNow().catch(() => {})
    },
    async stop() {
      hasStopped = true
      clearInterval(timer)
      await currentRun
    },
    isStopped: () => hasStopped
  }
}
