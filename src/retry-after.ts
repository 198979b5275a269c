/**
 * How long Atlassian asks to be left alone after a refusal (RFC 9110 section 10.2.3; atlassian.md section 10).
 *
 * `Retry-After` comes as seconds or as an HTTP date, some refusals carry only `X-RateLimit-Reset` (ISO 8601, sometimes
 * without seconds), and some carry nothing.
 *
 * @param now milliseconds since the epoch
 * @returns milliseconds from now; undefined when the headers say nothing usable
 */
export function retryAfterMs (headers: Record<string, string | string[] | undefined>, now: number): number | undefined {
  const waits = [secondsOrDate(headers['retry-after'], now), dateFrom(headers['x-ratelimit-reset'], now)]
  const known = waits.filter((wait) => wait !== undefined)
  return known.length === 0 ? undefined : Math.max(0, ...known)
}

function secondsOrDate (value: string | string[] | undefined, now: number): number | undefined {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : dateFrom(value, now)
}

function dateFrom (value: string | string[] | undefined, now: number): number | undefined {
  const at = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(at) ? undefined : at - now
}
