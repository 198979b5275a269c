/** What a refusal says about when to come back, in milliseconds from now; undefined where it says nothing usable. */
export interface ComeBack {
  /** `Retry-After`, in seconds or as an HTTP date (RFC 9110 section 10.2.3). */
  after: number | undefined
  /** `X-RateLimit-Reset`, ISO 8601, sometimes without seconds (atlassian.md section 10). */
  reset: number | undefined
}

type Headers = Record<string, string | string[] | undefined>

/** @param now milliseconds since the epoch */
export function comeBack(headers: Headers, now: number): ComeBack {
  return {
    after: secondsOrDate(headers['retry-after'], now),
    reset: dateFrom(headers['x-ratelimit-reset'], now)
  }
}

/**
 * How long Atlassian asks to be left alone after a refusal: the longer of what its headers say.
 *
 * @param now milliseconds since the epoch
 * @returns milliseconds from now; undefined when the headers say nothing usable
 */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const known = Object.values(comeBack(headers, now)).filter((wait) => wait !== undefined)
  return known.length === 0 ? undefined : Math.max(0, ...known)
}

function secondsOrDate(value: string | string[] | undefined, now: number): number | undefined {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)
    ? Number(value) * 1000
    : dateFrom(value, now)
}

function dateFrom(value: string | string[] | undefined, now: number): number | undefined {
  const at = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(at) ? undefined : at - now
}
