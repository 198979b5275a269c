const LOG_INTERVAL_MS = 5_000

/** Logs the first refusal, and then at most one line per interval, with the number of refusals. */
export function createRefusalLog(log: (fields: object) => void): (fields: object) => void {
  let refusedCount = 0
  let lastLoggedAt = -Infinity
  return (fields) => {
    refusedCount++
    if (performance.now() - lastLoggedAt < LOG_INTERVAL_MS) return
    lastLoggedAt = performance.now()
    log({ ...fields, refused: refusedCount })
    refusedCount = 0
  }
}
