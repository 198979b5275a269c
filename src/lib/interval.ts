/** Work that is done again and again for as long as a service lives, never twice at the same time. */
export interface Ticker {
  /** Does it once, or joins who does it already; resolves when it is done. */
  once: () => Promise<void>
  /** Does it now, and again and again. */
  start: () => void
  /** Ends it; what is under way is waited for, and nothing is begun any more. */
  stop: () => Promise<void>
  isStopped: () => boolean
}

/** @param work must not reject: there is a next time */
export function createTicker(work: () => Promise<void>, everyMs: number): Ticker {
  let timer: NodeJS.Timeout | undefined
  let working: Promise<void> | undefined
  let stopped = false

  async function once(): Promise<void> {
    working ??= work().finally(() => {
      working = undefined
    })
    await working
  }

  return {
    once,
    start() {
      if (stopped) return
      timer = setInterval(once, everyMs).unref()
      once().catch(() => {})
    },
    async stop() {
      stopped = true
      clearInterval(timer)
      await working
    },
    isStopped: () => stopped
  }
}
