import { nameEndpoint } from './endpoint-name.ts'
import type { HttpResponse, Logger } from './http-client.ts'

/** An endpoint whose responses announce a change, and what they say. */
export interface Deprecation {
  /** Method, product and path without ids. */
  endpoint: string
  /** RFC 9745: when the endpoint became deprecated. */
  deprecation: string | null
  /** RFC 8594: when it is expected to stop. */
  sunset: string | null
  warning: string | null
  firstSeenAt: Date
  lastSeenAt: Date
}

interface ObservedResponse extends Pick<HttpResponse, 'headers'> {
  method: string
  url: string
  log: Logger
}

const DAY_MS = 86_400_000
/** Further endpoints are ignored. */
const MAX_ENDPOINTS = 200
const MAX_HEADER_LENGTH = 500
/**
 * Remembers which endpoints Atlassian announces to change or remove, and logs each once a day
 * (docs/reference/atlassian.md#93-version-1).
 *
 * @param now milliseconds since the epoch
 */
export function createDeprecationLog(now: () => number) {
  const byEndpoint = new Map<string, Deprecation & { loggedAt: number }>()

  return {
    observe({ method, url, headers, log }: ObservedResponse): void {
      const [deprecation, sunset, warning] = ['deprecation', 'sunset', 'warning'].map((name) => {
        const value = headers[name]
        return value === undefined ? null : [value].flat().join(', ').slice(0, MAX_HEADER_LENGTH)
      }) as [string | null, string | null, string | null]
      if (deprecation === null && sunset === null && warning === null) return
      const { endpoint } = nameEndpoint(method, url)
      const known = byEndpoint.get(endpoint)
      if (known === undefined && byEndpoint.size >= MAX_ENDPOINTS) return
      const isLogged = known !== undefined && now() - known.loggedAt < DAY_MS
      byEndpoint.set(endpoint, {
        endpoint,
        deprecation,
        sunset,
        warning,
        firstSeenAt: known?.firstSeenAt ?? new Date(now()),
        lastSeenAt: new Date(now()),
        loggedAt: isLogged ? known.loggedAt : now()
      })
      if (isLogged) return
      log.warn(
        { event: 'upstream_deprecation', endpoint, deprecation, sunset, warning },
        'Atlassian announces that an endpoint will change or be removed.'
      )
    },

    /** By endpoint. */
    list: (): Deprecation[] =>
      [...byEndpoint.values()].sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1))
  }
}

export type DeprecationLog = ReturnType<typeof createDeprecationLog>
