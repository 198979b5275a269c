import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../lib/errors.ts'
import { requireSuccess, type Answer } from '../lib/http-client.ts'
import type { Site } from '../model/site.ts'
import { UUID, type Access } from './atlassian.ts'
import { isScopeMismatch, isSiteUnreachable, type Gateway, type Provider } from './provider.ts'

/** Trouble of Atlassian's own is asked again this often, and refusals for the rate as often as they can be waited for. */
const TRIES = 4
const MOST_REFUSALS = 6
const FIRST_BACKOFF_MS = 1_000
/** This machine's clock is not off by more. */
const UNTOLD_CLOCK_MS = 24 * 3_600_000
/** What passes by itself. So does a 504, unless the call says how many it wants: then it has to want fewer (atlassian.md section 9.4). */
const PASSING = [
  'upstream_failed',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
]

export interface GatewaySettings extends Access {
  provider: Provider
  site: Site
  signal: AbortSignal
  /** Milliseconds since the epoch. */
  now: () => number
}

/**
 * Reads through the gateway, never from the site: 3LO tokens work nowhere else (atlassian.md sections 7, 10 and 11). All of it
 * is reading, so a call whose answer was lost or spoilt is sent again, after a wait that grows.
 */
export function createGateway({
  ask,
  apiUrl,
  log,
  provider,
  site,
  signal,
  now
}: GatewaySettings): Gateway {
  const base = `${apiUrl}/ex/${provider.id}/${site.cloudId}`
  if (!UUID.test(site.cloudId)) {
    throw new AppError('upstream_invalid_answer', 'A stored site has no usable cloud id.')
  }
  let ahead: number | undefined

  /** Bounds in queries are meant by Atlassian's clock, which every answer tells. */
  function setClock({ headers }: Answer): void {
    const date = Date.parse(String(headers.date ?? ''))
    if (!Number.isNaN(date)) ahead = date - now()
  }

  async function once(url: string, json: object | undefined): Promise<unknown> {
    const answer = await ask(url, json)
    setClock(answer)
    if (isScopeMismatch(answer)) throw scopeMissing(provider)
    if (isSiteUnreachable(answer)) {
      throw new AppError(
        'site_unreachable',
        `Atlassian no longer lets this connection use ${provider.title} on one of its sites.`
      )
    }
    return requireSuccess(answer, url, log)
  }

  async function patiently(url: string, json?: object): Promise<unknown> {
    let [failures, refusals] = [0, 0]
    while (true) {
      try {
        return await once(url, json)
      } catch (error) {
        if (!(error instanceof AppError) || signal.aborted) throw error
        if (
          error.code === 'upstream_rate_limited' &&
          error.upstreamStatus !== undefined &&
          ++refusals < MOST_REFUSALS
        ) {
          continue
        }
        if (
          (error.upstreamStatus === 504 && isSized(url, json)) ||
          !PASSING.includes(error.code) ||
          ++failures >= TRIES
        ) {
          throw error
        }
        const wait = FIRST_BACKOFF_MS * 2 ** (failures - 1) * (0.7 + Math.random() * 0.6)
        log.info({ event: 'upstream_wait', wait_ms: Math.round(wait), error_code: error.code })
        await sleep(wait, undefined, { signal }).catch((cause: unknown) => {
          throw new AppError('interrupted', 'The service is stopping.', { cause })
        })
      }
    }
  }

  function address(path: string): URL {
    const url = new URL(base + path)
    if (!url.href.startsWith(`${base}/`)) throw new Error('A path leads out of the gateway')
    return url
  }

  return {
    now: () => now() + (ahead ?? 0),
    doubtMs: () => (ahead === undefined ? UNTOLD_CLOCK_MS : 0),
    async get(path, query = {}) {
      const url = address(path)
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
      return await patiently(url.href)
    },
    post: async (path, json) => await patiently(address(path).href, json)
  }
}

function isSized(url: string, json: object = {}): boolean {
  return /[?&](limit|maxResults)=/.test(url) || 'maxResults' in json || 'issueIdsOrKeys' in json
}

function scopeMissing({ title, scopes }: Provider): AppError {
  return new AppError(
    'scope_missing',
    `The connection lacks a scope that ${title} needs (${scopes.join(' ')}). Enable them on the app and connect again.`
  )
}
