import { computeBackoffMs } from '../lib/backoff.ts'
import { AppError } from '../lib/errors.ts'
import { assertOk, type HttpResponse } from '../lib/http-client.ts'
import { retry } from '../lib/retry.ts'
import type { Site } from '../model/site.ts'
import { UUID_PATTERN, type AtlassianClient } from './atlassian.ts'
import { isScopeMismatch, isSiteUnreachable, type Gateway, type Provider } from './provider.ts'

/** Maximum attempts per call: for transient failures, and for 429 responses. */
const MAX_ATTEMPTS = 4
const MAX_RATE_LIMITED_ATTEMPTS = 6
const BACKOFF = { initialMs: 1_000, maxMs: 8_000 }
/** Assumed maximum error of the local clock until the first response. */
const MAX_CLOCK_OFFSET_MS = 24 * 3_600_000
/**
 * Codes to retry. A 504 is not retried here if the request has a page size: the pager retries it
 * with a smaller page (docs/reference/atlassian.md#94-cql-search).
 */
const TRANSIENT_ERRORS = [
  'upstream_failed',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
]

export interface GatewaySettings extends AtlassianClient {
  provider: Provider
  site: Site
  signal: AbortSignal
  /** Milliseconds since the epoch. */
  now: () => number
}

/**
 * Reads through the API gateway: 3LO tokens do not work on the site's own URL
 * (docs/reference/atlassian.md#7-gateway, #10-rate-limits, #11-errors). All calls only read, so
 * a call whose response was lost or is invalid is retried with exponential backoff.
 */
export function createGateway({
  sendAuthorized,
  apiUrl,
  log,
  provider,
  site,
  signal,
  now
}: GatewaySettings): Gateway {
  const base = `${apiUrl}${provider.gatewayPath}/${site.cloudId}`
  if (!UUID_PATTERN.test(site.cloudId)) {
    throw new AppError('upstream_invalid_answer', 'A stored site has no usable cloud id.')
  }
  let clockOffsetMs: number | undefined

  /**
   * Atlassian evaluates time bounds in queries by its own clock; each response carries its time.
   */
  function updateClockOffset({ headers }: HttpResponse): void {
    const date = Date.parse(String(headers.date ?? ''))
    if (!Number.isNaN(date)) clockOffsetMs = date - now()
  }

  async function requestOnce(url: string, json: object | undefined): Promise<unknown> {
    const response = await sendAuthorized(url, json)
    updateClockOffset(response)
    if (isScopeMismatch(response)) throw createScopeMissingError(provider)
    if (isSiteUnreachable(response)) {
      throw new AppError(
        'site_unreachable',
        `Atlassian no longer lets this connection use ${provider.title} on one of its sites.`
      )
    }
    return assertOk(response, url, log)
  }

  async function requestWithRetry(url: string, json?: object): Promise<unknown> {
    let [failures, refusals] = [0, 0]
    const getDelayMs = (error: unknown): number => {
      if (!(error instanceof AppError) || signal.aborted) throw error
      // The rate budget delays the next attempt.
      if (
        error.code === 'upstream_rate_limited' &&
        error.upstreamStatus !== undefined &&
        ++refusals < MAX_RATE_LIMITED_ATTEMPTS
      ) {
        return 0
      }
      if (
        (error.upstreamStatus === 504 && hasPageSize(url, json)) ||
        !TRANSIENT_ERRORS.includes(error.code) ||
        ++failures >= MAX_ATTEMPTS
      ) {
        throw error
      }
      const delayMs = computeBackoffMs(failures, BACKOFF)
      log.info({ event: 'upstream_wait', wait_ms: Math.round(delayMs), error_code: error.code })
      return delayMs
    }
    return await retry(async () => await requestOnce(url, json), getDelayMs, signal)
  }

  function resolveUrl(path: string): URL {
    const url = new URL(base + path)
    if (!url.href.startsWith(`${base}/`)) {
      throw new Error('The path is outside the base URL of the gateway')
    }
    return url
  }

  return {
    now: () => now() + (clockOffsetMs ?? 0),
    clockUncertaintyMs: () => (clockOffsetMs === undefined ? MAX_CLOCK_OFFSET_MS : 0),
    async get(path, query = {}) {
      const url = resolveUrl(path)
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
      return await requestWithRetry(url.href)
    },
    post: async (path, json) => await requestWithRetry(resolveUrl(path).href, json)
  }
}

function hasPageSize(url: string, json: object = {}): boolean {
  return /[?&](limit|maxResults)=/.test(url) || 'maxResults' in json || 'issueIdsOrKeys' in json
}

function createScopeMissingError({ title, scopes }: Provider): AppError {
  return new AppError(
    'scope_missing',
    `The connection lacks one of the scopes that ${title} needs (${scopes.join(' ')}). ` +
      'Enable them on the app and connect again.'
  )
}
