import { parseList, Token, type BareItem, type Parameters } from 'structured-headers'
import type { HttpResponse } from '../lib/http-client.ts'

/**
 * What a limit covers: the whole app, the app at one site, one account at that site, or one
 * endpoint of that site.
 */
export type LimitScope = 'app' | 'site' | 'account' | 'endpoint'

/** One limit of `RateLimit-Policy` and `RateLimit`. A member is undefined if no header states it. */
export interface RateLimitPolicy {
  name: string
  scope: LimitScope
  /** An hourly quota of points; other limits are short bursts. */
  isQuota: boolean
  /** Points per window. */
  quota: number | undefined
  /** Points left; Atlassian states them from about four fifths of use on. */
  remaining: number | undefined
  /** Milliseconds until the window ends. */
  resetMs: number | undefined
}

const HOUR_S = 3_600
/** Upper limit for a wait that a header demands. */
export const MAX_RETRY_AFTER_MS = 24 * 3_600_000

/**
 * Every policy in the response, in any order (docs/reference/atlassian.md#103-headers). Both
 * headers are structured lists (RFC 9651): unknown parameters are skipped, and a header that is
 * malformed is ignored as a whole. Headers that begin with `Beta-` are informational and not
 * read.
 */
export function parsePolicies(headers: HttpResponse['headers']): RateLimitPolicy[] {
  const definitions = parseNamedParameters(headers['ratelimit-policy'])
  const states = parseNamedParameters(headers.ratelimit)
  return [...new Set([...definitions.keys(), ...states.keys()])].map((name) => {
    const [definition, state] = [definitions.get(name), states.get(name)]
    const windowS = toCount(definition?.get('w'))
    const resetS = toCount(state?.get('t'))
    return {
      name,
      scope: toPolicyScope(name),
      isQuota: /quota/i.test(name) && (windowS ?? HOUR_S) === HOUR_S,
      quota: toCount(definition?.get('q')) || undefined,
      remaining: toCount(state?.get('r')),
      resetMs: resetS === undefined ? undefined : Math.min(resetS * 1000, MAX_RETRY_AFTER_MS)
    }
  })
}

/**
 * Maps the name of a policy or the reason of a refusal to what it covers. Names vary, so they are
 * matched by meaning (docs/reference/atlassian.md#102-reasons); the unknown covers the whole app.
 * The service does not write issues: a limit of one issue counts as one of its endpoint.
 */
export function toPolicyScope(name: string): LimitScope {
  if (/per-issue|burst/i.test(name)) return 'endpoint'
  if (/concurrent/i.test(name)) return 'account'
  return /tenant/i.test(name) ? 'site' : 'app'
}

/** The parameters of each string or token in a structured list. */
function parseNamedParameters(header: string | string[] | undefined): Map<string, Parameters> {
  const named = new Map<string, Parameters>()
  if (header === undefined) return named
  try {
    for (const [value, parameters] of parseList([header].flat().join(', '))) {
      if (typeof value === 'string' || value instanceof Token) {
        named.set(value.toString(), parameters)
      }
    }
  } catch {
    named.clear()
  }
  return named
}

function toCount(value: BareItem | undefined): number | undefined {
  return typeof value === 'number' && value >= 0 ? Math.floor(value) : undefined
}
