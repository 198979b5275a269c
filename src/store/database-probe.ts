import type { Logger } from '../lib/http-client.ts'
import { describeFailure, type FailureReason } from './failure-reason.ts'
import type { Store } from './index.ts'

/** Health checks share one probe in this time: one small write, and one read of each table. */
const INTERVAL_MS = 5_000
/** A failure is probed again sooner. */
const RETRY_INTERVAL_MS = 1_000
/**
 * A probe that waits behind a load of other queries proves nothing: until it is this old, the last
 * result counts.
 */
const MAX_RESULT_AGE_MS = 15_000

export interface DatabaseProbe {
  /**
   * Whether the database can be read and written.
   *
   * @returns the reason if it cannot; undefined if it can
   */
  check: (timeoutMs: number) => Promise<FailureReason | undefined>
}

/** Probes the database when it is asked to, at most once in INTERVAL_MS for the whole process. */
export function createDatabaseProbe(
  { serviceState, readTables }: Pick<Store, 'serviceState' | 'readTables'>,
  log: Logger
): DatabaseProbe {
  let result: { at: number; reason: FailureReason | undefined } | undefined
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    let reason: FailureReason | undefined
    try {
      await readTables()
      await serviceState.writeProbe()
    } catch (err) {
      reason = describeFailure(err)
      log.error({ event: 'health_error', reason, err }, 'The database cannot be used.')
    }
    result = { at: performance.now(), reason }
  }

  return {
    async check(timeoutMs) {
      const interval = result?.reason === undefined ? INTERVAL_MS : RETRY_INTERVAL_MS
      if (result !== undefined && performance.now() - result.at < interval) return result.reason
      running ??= run().finally(() => {
        running = undefined
      })
      let timer: NodeJS.Timeout | undefined
      const timeout = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeoutMs)
      })
      await Promise.race([running, timeout])
      clearTimeout(timer)
      return result !== undefined && performance.now() - result.at < MAX_RESULT_AGE_MS
        ? result.reason
        : 'timeout'
    }
  }
}
