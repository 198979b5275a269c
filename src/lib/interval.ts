/** A job that runs at an interval while the service lives, never twice at the same time. */
export interface IntervalJob {
  /** Runs the job once, or joins the current run; resolves when it has ended. */
  runNow: () => Promise<void>
  /** Runs the job now and then at every interval. */
  start: () => void
  /** Stops the job and waits for the current run. */
  stop: () => Promise<void>
  isStopped: () => boolean
}

/** @param work must not reject: it handles its own errors, and repeats failed work when it runs next */
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
