import { AppError } from '../lib/errors.ts'
import type { CallOptions, InvalidItem } from './provider.ts'

/** Successful pages before a size that failed is tried again; grows fourfold up to the maximum. */
const MAX_GROWTH_DELAY = 64
/** Items in a row that fail alone; more mean that Atlassian is down. */
const MAX_FAILED_IN_A_ROW = 10
/** Restarts of one listing because a smaller page refuses its cursor. */
const MAX_RESTARTS = 10
const SERVER_ERRORS = [500, 502, 503, 504]

/**
 * Whether a smaller page or batch may succeed: a server error, a time-out, or an answer that is
 * too large or cut off (docs/reference/atlassian.md#87-bulk-fetch and #91-pages). A failure that
 * names a time to wait is about the rate of calls.
 */
export function isDivisibleFailure(error: unknown): error is AppError {
  if (!(error instanceof AppError) || error.details.retryAfterS !== undefined) return false
  const { code, upstreamStatus: status } = error
  return (
    code === 'upstream_timeout' ||
    (code === 'upstream_failed' && status !== undefined && SERVER_ERRORS.includes(status)) ||
    (code === 'upstream_invalid_answer' && (status === undefined || status < 300))
  )
}

/** Whether the failure may pass without a smaller page. */
export function isPassingFailure({ upstreamStatus }: AppError): boolean {
  return upstreamStatus !== undefined && upstreamStatus >= 500 && upstreamStatus !== 504
}

/** Sends one request for at most `size` items. */
type PageRequest<T> = (size: number, options: CallOptions) => Promise<T>

/**
 * Chooses the page size of a listing or of batches: halves it after a failure, down to one item,
 * and doubles it after successes. A size that fails again is tried less and less often.
 */
export function createAdaptivePager(maxPageSize: number) {
  let size = maxPageSize
  /** The size of the page that returned the current cursor. */
  let cursorSize: number | undefined
  let [isFixed, hasGrown, hasFailed, hasFailedItems] = [false, false, false, false]
  let [growthDelay, pagesUntilGrowth] = [1, 1]
  let restartCount = 0

  function recordSuccess(): void {
    if (hasGrown) growthDelay = 1
    cursorSize = size
    hasGrown = false
    hasFailed = false
    if (isFixed || size >= maxPageSize || --pagesUntilGrowth > 0) return
    size = Math.min(maxPageSize, size * 2)
    hasGrown = true
    pagesUntilGrowth = growthDelay
  }

  function shrink(attempted: number): void {
    if (hasGrown) growthDelay = Math.min(MAX_GROWTH_DELAY, growthDelay * 4)
    hasGrown = false
    hasFailed = true
    pagesUntilGrowth = growthDelay
    size = Math.max(1, Math.floor(attempted / 2))
  }

  return {
    /**
     * @param available the number of items that are left to request
     * @throws what a request for a single item throws, and any failure that is not divisible
     */
    async fetch<T>(request: PageRequest<T>, available = Infinity): Promise<T> {
      while (true) {
        const attempted = Math.min(size, available)
        try {
          const response = await request(
            attempted,
            attempted > 1
              ? { isDivisible: true, maxAttempts: hasFailed || hasGrown ? 1 : 2 }
              : hasFailedItems
                ? { maxAttempts: 2 }
                : {}
          )
          recordSuccess()
          return response
        } catch (error) {
          if (isBadRequest(error) && cursorSize !== undefined && size > cursorSize) {
            // The cursor belongs to the size before.
            size = cursorSize
            isFixed = true
            hasGrown = false
          } else if (attempted === 1 || !isDivisibleFailure(error)) throw error
          else shrink(attempted)
        }
      }
    },

    /** After an item that failed alone: the next ones are retried less. */
    recordFailedItem: (): void => {
      hasFailedItems = true
    },

    /**
     * Whether the listing can start again because a page of another size refused its cursor. It
     * then keeps the size.
     */
    restart(error: unknown): boolean {
      if (!isBadRequest(error) || size === cursorSize || restartCount >= MAX_RESTARTS) return false
      if (size === maxPageSize) return false
      restartCount++
      isFixed = true
      cursorSize = undefined
      return true
    }
  }
}

export type AdaptivePager = ReturnType<typeof createAdaptivePager>

/**
 * Requests items in batches. A batch that fails is halved until the failing item is alone.
 *
 * @returns the items that failed alone
 * @throws AppError if so many fail in a row that Atlassian must be down
 */
export async function fetchInBatches(
  ids: readonly string[],
  maxBatchSize: number,
  request: (ids: string[], options: CallOptions) => Promise<void>
): Promise<InvalidItem[]> {
  const pager = createAdaptivePager(maxBatchSize)
  const failedItems: InvalidItem[] = []
  let failedInARow = 0
  for (let i = 0; i < ids.length;) {
    try {
      i += await pager.fetch(async (size, options) => {
        const batchIds = ids.slice(i, i + size)
        await request(batchIds, options)
        return batchIds.length
      }, ids.length - i)
      failedInARow = 0
    } catch (error) {
      if (!isDivisibleFailure(error) || ++failedInARow > MAX_FAILED_IN_A_ROW) throw error
      failedItems.push(createFailedItem(ids[i++] ?? null))
      pager.recordFailedItem()
    }
  }
  return failedItems
}

/** An item that Atlassian could not deliver. */
export function createFailedItem(
  remoteId: string | null,
  detail = 'Atlassian fails to deliver it.'
): InvalidItem {
  return { remoteId, code: 'item_failed', detail }
}

function isBadRequest(error: unknown): boolean {
  return error instanceof AppError && error.upstreamStatus === 400
}
