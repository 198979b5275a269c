const POLL_INTERVAL_MS = 500
/** npm passes on signals that the service has already got as a member of the same process group. */
const NPM_DUPLICATE_MS = 500

/** The signals that stop the service: how often each must come to end it at once, and its number. */
const STOP_SIGNALS = {
  SIGINT: { endsAt: 2, number: 2 },
  // systemd sends one to each process of a unit, so that one may come twice.
  SIGTERM: { endsAt: 3, number: 15 }
} as const
type StopSignal = keyof typeof STOP_SIGNALS
export const STOP_SIGNAL_NAMES = Object.keys(STOP_SIGNALS) as StopSignal[]

interface StopHandlers {
  /** Called once, with the signal, or `npm_ended`. */
  stop: (reason: string) => void
  /** Called for the signal that ends the process at once, with its exit code: 128 and the number. */
  endNow: (signal: string, exitCode: number) => void
}

const isRunByNpm = process.env.npm_lifecycle_event !== undefined

/**
 * Stops at the first SIGINT or SIGTERM, or when npm is gone; ends at the second SIGINT or the third
 * SIGTERM. Replaces the handlers of src/main.js.
 */
export function listenForStopSignals({ stop, endNow }: StopHandlers): void {
  let isStopping = false
  const stopOnce = (reason: string) => {
    if (isStopping) return
    isStopping = true
    stop(reason)
  }
  for (const signal of STOP_SIGNAL_NAMES) {
    const { endsAt, number } = STOP_SIGNALS[signal]
    let count = 0
    let countedAt = -Infinity
    if (process.pid === 1) process.removeAllListeners(signal)
    process.on(signal, () => {
      const isDuplicate = isRunByNpm && performance.now() - countedAt < NPM_DUPLICATE_MS
      if (isDuplicate) return
      countedAt = performance.now()
      count++
      if (count >= endsAt) endNow(signal, 128 + number)
      else stopOnce(signal)
    })
  }
  if (isRunByNpm) onParentGone(() => stopOnce('npm_ended'))
}

/** npm 11 ends at once on a SIGTERM and leaves its child running, whose parent then is another process. */
function onParentGone(callback: () => void): void {
  const initialParent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === initialParent) return
    clearInterval(timer)
    callback()
  }, POLL_INTERVAL_MS)
  timer.unref()
}
