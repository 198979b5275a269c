/** When a refusal allows the next call, in ms from now; undefined if it does not say. */
export interface RetryHints {
  /** `Retry-After`, in seconds or as an HTTP date (RFC 9110 section 10.2.3). */
  afterMs: number | undefined
  /**
   * `X-RateLimit-Reset`, ISO 8601, sometimes without seconds
   * (docs/reference/atlassian.md#10-rate-limits).
   */
  resetMs: number | undefined
}

type ResponseHeaders = Record<string, string | string[] | undefined>

/** @param now milliseconds since the epoch */
export function parseRetryHints(headers: ResponseHeaders, now: number): RetryHints {
  return {
    afterMs: parseSecondsOrDate(headers['retry-after'], now),
    resetMs: parseDelayUntil(headers['x-ratelimit-reset'], now)
  }
}

/**
 * How long Atlassian asks to wait after a refusal: the longest of what its headers say.
 *
 * @param now milliseconds since the epoch
 * @returns milliseconds from now; undefined if the headers say nothing usable
 */
export function parseRetryAfterMs(headers: ResponseHeaders, now: number): number | undefined {
  const hints = Object.values(parseRetryHints(headers, now)).filter((wait) => wait !== undefined)
  return hints.length === 0 ? undefined : Math.max(0, ...hints)
}

function parseSecondsOrDate(value: string | string[] | undefined, now: number): number | undefined {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)
    ? Number(value) * 1000
    : parseDelayUntil(value, now)
}

function parseDelayUntil(value: string | string[] | undefined, now: number): number | undefined {
  const timestamp = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(timestamp) ? undefined : timestamp - now
}
