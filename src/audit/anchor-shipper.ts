import { computeBackoffMs } from '../lib/backoff.ts'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Anchor } from '../store/audit-chain.ts'
import { SEND_TIMEOUT_MS, type SendAnchor } from './send-anchor.ts'

const BACKOFF = { initialMs: 500, maxMs: 30_000 }

/**
 * Sends the newest end of the audit trail to a receiver outside the database, one at a time: an
 * anchor covers all entries before it, so ends in between are skipped. Repeats a failed one.
 */
export function createAnchorShipper(send: SendAnchor, log: Logger) {
  let latest: Anchor | undefined
  let shippedCount = -1
  let failures = 0
  let sending: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  const findPending = () =>
    latest !== undefined && latest.count > shippedCount ? latest : undefined
  const isShipped = (count: number) => shippedCount >= count

  function shipLatest(): void {
    sending ??= sendPending().finally(() => {
      sending = undefined
    })
  }

  async function sendPending(): Promise<void> {
    clearTimeout(timer)
    for (let anchor = findPending(); anchor !== undefined; anchor = findPending()) {
      try {
        await send(anchor)
      } catch (err) {
        if (failures++ === 0) {
          log.error(
            { event: 'audit_anchor_failed', err },
            'The end of the audit trail could not be sent to AUDIT_ANCHOR_URL; it is repeated.'
          )
        }
        if (!isStopped) timer = setTimeout(shipLatest, computeBackoffMs(failures, BACKOFF)).unref()
        return
      }
      shippedCount = anchor.count
      if (failures > 0) log.info({ event: 'audit_anchor_recovered', count: anchor.count })
      failures = 0
    }
  }

  return {
    notify(anchor: Anchor): void {
      if (latest === undefined || anchor.count > latest.count) latest = anchor
      // A failed anchor waits for its next attempt.
      if (failures === 0) shipLatest()
    },

    /** Whether the receiver did not take the latest anchor that was sent. */
    isFailing: () => failures > 0,

    /**
     * Resolves when the receiver has taken the entry with this number.
     *
     * @throws AppError `unavailable` if it does not within its time-out
     */
    async waitUntilShipped(count: number): Promise<void> {
      const deadline = performance.now() + SEND_TIMEOUT_MS
      while (!isShipped(count)) {
        if (sending === undefined || failures > 0 || performance.now() > deadline) {
          throw createNotShippedError('The action was done and is in the audit trail, but')
        }
        await sending
      }
    },

    /** Sends what is pending, once. */
    async stop(): Promise<void> {
      isStopped = true
      clearTimeout(timer)
      shipLatest()
      await sending
    }
  }
}

export function createNotShippedError(what: string): AppError {
  return new AppError('unavailable', `${what} the receiver of the audit trail does not respond.`, {
    retryAfterS: 5
  })
}
