const POLL_INTERVAL_MS = 500

/**
 * Signals that npm forwards. The service gets them twice if the terminal sends them to the whole
 * process group.
 */
export const NPM_SIGNALS = ['SIGINT', 'SIGTERM'] as const

export const isRunByNpm = process.env.npm_lifecycle_event !== undefined
const initialParent = process.ppid

/**
 * Calls `stop` once: at the first SIGINT or SIGTERM, or when npm is gone. npm 11 ends at once on a
 * SIGTERM and leaves its child running, whose parent then is another process.
 */
export function stopWithNpm(stop: () => void): void {
  let isStopping = false
  const stopOnce = () => {
    if (isStopping) return
    isStopping = true
    clearInterval(timer)
    stop()
  }
  const timer = setInterval(() => {
    if (process.ppid !== initialParent) stopOnce()
  }, POLL_INTERVAL_MS)
  timer.unref()
  for (const signal of NPM_SIGNALS) process.on(signal, stopOnce)
}
