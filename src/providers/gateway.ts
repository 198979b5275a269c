import { computeBackoffMs, type BackoffLimits } from '../lib/backoff.ts'
import { AppError } from '../lib/errors.ts'
import { assertOk, type HttpResponse } from '../lib/http-client.ts'
import { retry } from '../lib/retry.ts'
import type { Site } from '../model/site.ts'
import { UUID_PATTERN, type AtlassianClient } from './atlassian.ts'
import { isDivisibleFailure, isPassingFailure } from './adaptive-pager.ts'
import { detectScopeFamily, getScopes, requireEndpoint, type Endpoint } from './endpoint.ts'
import {
  isScopeMismatch,
  isSiteUnreachable,
  type CallOptions,
  type Gateway,
  type Provider
} from './provider.ts'
import { createTokenCheck, isRejectedToken } from './token-check.ts'

/** Maximum attempts per call: for transient failures, and for 429 responses. */
const MAX_ATTEMPTS = 4
const MAX_RATE_LIMITED_ATTEMPTS = 6
const DEFAULT_BACKOFF: BackoffLimits = { initialMs: 1_000, maxMs: 8_000 }
/** Assumed maximum error of the local clock until the first response. */
const MAX_CLOCK_OFFSET_MS = 24 * 3_600_000
/** Codes to retry. */
const TRANSIENT_ERRORS = [
  'upstream_failed',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
]

export interface GatewaySettings extends AtlassianClient {
  provider: Provider
  /** The scopes and the account of the grant. */
  scopes: readonly string[]
  accountId: string
  site: Site
  signal: AbortSignal
  /** Milliseconds since the epoch. */
  now: () => number
  /** Delays before failed calls are repeated; undefined: seconds. */
  backoff: BackoffLimits | undefined
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
  scopes,
  accountId,
  site,
  signal,
  now,
  backoff = DEFAULT_BACKOFF
}: GatewaySettings): Gateway {
  const base = `${apiUrl}${provider.gatewayPath}/${site.cloudId}`
  if (!UUID_PATTERN.test(site.cloudId)) {
    throw new AppError('upstream_invalid_answer', 'A stored site has no usable cloud id.')
  }
  let clockOffsetMs: number | undefined
  const checkToken = createTokenCheck({
    provider,
    accountId,
    cloudId: site.cloudId,
    apiUrl,
    siteUrl: base,
    now,
    log
  })

  /**
   * Atlassian evaluates time bounds in queries by its own clock; each response carries its time.
   */
  function updateClockOffset({ headers }: HttpResponse): void {
    const date = Date.parse(String(headers.date ?? ''))
    if (!Number.isNaN(date)) clockOffsetMs = date - now()
  }

  async function requestOnce(url: string, json: object | undefined): Promise<unknown> {
    const response = await sendAuthorized(url, json, checkToken)
    updateClockOffset(response)
    if (isRejectedToken(response)) throw createRejectedTokenError(provider)
    if (isScopeMismatch(response)) throw createScopeMissingError(url, json)
    if (isSiteUnreachable(response)) {
      throw new AppError(
        'site_unreachable',
        `Atlassian no longer lets this connection use ${provider.title} on one of its sites.`
      )
    }
    return assertOk(response, url, log)
  }

  async function requestWithRetry(
    url: string,
    json: object | undefined,
    { isDivisible = false, maxAttempts = MAX_ATTEMPTS }: CallOptions = {}
  ): Promise<unknown> {
    let [failures, refusals] = [0, 0]
    // A failure that a smaller page may avoid is not repeated, unless it may pass by itself.
    const countAttempts = (error: AppError): number =>
      !isDivisible
        ? maxAttempts
        : !isDivisibleFailure(error)
          ? MAX_ATTEMPTS
          : isPassingFailure(error)
            ? maxAttempts
            : 1
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
      if (!TRANSIENT_ERRORS.includes(error.code) || ++failures >= countAttempts(error)) {
        throw error
      }
      const delayMs = computeBackoffMs(failures, backoff)
      log.info({ event: 'upstream_wait', wait_ms: Math.round(delayMs), error_code: error.code })
      return delayMs
    }
    return await retry(async () => await requestOnce(url, json), getDelayMs, signal)
  }

  function resolveUrl(method: Endpoint['method'], path: string): URL {
    const url = new URL(base + path)
    if (!url.href.startsWith(`${base}/`)) {
      throw new Error('The path is outside the base URL of the gateway')
    }
    requireEndpoint(provider.endpoints, method, path)
    return url
  }

  /** Names the scopes of the endpoint that was called, in the family that the app uses. */
  function createScopeMissingError(url: string, json: object | undefined): AppError {
    const endpoint = requireEndpoint(
      provider.endpoints,
      json === undefined ? 'GET' : 'POST',
      url.slice(base.length).replace(/\?.*$/s, '')
    )
    const needed = getScopes(endpoint, detectScopeFamily(provider.endpoints, scopes))
    return new AppError(
      'scope_missing',
      `Atlassian refused ${endpoint.method} ${endpoint.path} for lack of a scope: it needs ` +
        `${needed.join(' ')}. Enable ${needed.length === 1 ? 'it' : 'them'} on the app and connect again.`
    )
  }

  return {
    now: () => now() + (clockOffsetMs ?? 0),
    clockUncertaintyMs: () => (clockOffsetMs === undefined ? MAX_CLOCK_OFFSET_MS : 0),
    async get(path, query = {}, options) {
      const url = resolveUrl('GET', path)
      for (const [name, values] of Object.entries(query)) {
        for (const value of [values].flat()) url.searchParams.append(name, value)
      }
      return await requestWithRetry(url.href, undefined, options)
    },
    post: async (path, json, options) =>
      await requestWithRetry(resolveUrl('POST', path).href, json, options)
  }
}

function createRejectedTokenError({ title }: Provider): AppError {
  return new AppError(
    'needs_reconnect',
    `${title} does not accept the tokens of this connection, although they are new. Connect again.`
  )
}
