/** Limits of an exponential backoff, in ms. */
export interface BackoffLimits {
  initialMs: number
  maxMs: number
}

/** Keeps the power below the largest exact integer. */
const MAX_EXPONENT = 20

/**
 * Computes the delay before the next attempt: it doubles with each failure, up to `maxMs` before
 * the jitter.
 *
 * @param failures consecutive failures, at least 1
 * @returns milliseconds
 */
export function computeBackoffMs(failures: number, { initialMs, maxMs }: BackoffLimits): number {
  return addJitter(Math.min(initialMs * 2 ** Math.min(failures - 1, MAX_EXPONENT), maxMs))
}

/**
 * Varies a delay at random, so that callers that failed together do not retry together.
 *
 * @param spread the largest deviation, as a share of the delay
 */
export function addJitter(delayMs: number, spread = 0.3): number {
  return delayMs * (1 - spread + 2 * spread * Math.random())
}

/**
 * Extends a delay to what the server asked for in `Retry-After`.
 *
 * @param retryAfterS seconds; undefined if the server named no time
 * @param maxMs the longest demand that is honoured
 */
export function extendToRetryAfter(
  delayMs: number,
  retryAfterS: number | undefined,
  maxMs: number
): number {
  return Math.max(delayMs, Math.min((retryAfterS ?? 0) * 1000, maxMs))
}
