import { AppError } from '../errors.ts'
import type { Answer } from '../http.ts'
import { createGate, type Gate } from './gate.ts'
import { pointsLeft, pointsOf, refusalOf, type Reach } from './limits.ts'

/** Whose budget a call is of. */
export interface Place { app: string, site: string, endpoint: string }

export interface Urgency {
  /** Somebody waits for the answer: it goes before what nobody waits for. */
  interactive: boolean
  signal?: AbortSignal | undefined
}

export interface BudgetSettings {
  now: () => number
  /** Points an app may spend in an hour, over all sites (atlassian.md section 10). */
  hourlyPoints: number
}

const HOUR_MS = 3_600_000
/** Background work leaves the rest of the hour's points to those who wait. */
const BACKGROUND_SHARE = 0.9
/** A longer wait is not waited, but said. */
const LONGEST_WAIT_MS = { interactive: 5_000, background: 10_000 }
const FIRST_BACKOFF_MS = 2_000
const LONGEST_BACKOFF_MS = 30_000
const AT_ONCE = 8

/**
 * The one budget of everything that calls Atlassian from this process: a refusal at one place holds whoever else would call
 * there, nobody calls before the time that Atlassian has named, and whoever waits for an answer goes first.
 */
export function createBudget ({ now, hourlyPoints }: BudgetSettings) {
  const blocks = new Map<string, { until: number, strikes: number }>()
  const ledger = new Map<string, { hour: number, used: number }>()
  const gates = new Map<string, Gate>()

  const names = ({ app, site, endpoint }: Place): Record<Reach, string> => ({ app, site: `${app} ${site}`, endpoint: `${app} ${site} ${endpoint}` })
  const hourOf = () => Math.floor(now() / HOUR_MS)
  const used = (app: string) => {
    const entry = ledger.get(app)
    return entry?.hour === hourOf() ? entry.used : 0
  }

  /** How long a call has to wait, in milliseconds. */
  function waitMs (place: Place, interactive: boolean): number {
    const until = Math.max(...Object.values(names(place)).map((name) => blocks.get(name)?.until ?? 0))
    const spent = used(place.app) >= hourlyPoints * (interactive ? 1 : BACKGROUND_SHARE)
    return Math.max(0, until - now(), spent ? (hourOf() + 1) * HOUR_MS - now() : 0)
  }

  function note (place: Place, answer: Answer): void {
    const refusal = refusalOf(answer, now())
    const spent = used(place.app) + pointsOf(answer)
    const left = pointsLeft(answer)
    ledger.set(place.app, { hour: hourOf(), used: left === undefined ? spent : Math.max(spent, hourlyPoints - left) })
    if (refusal === undefined) {
      for (const name of Object.values(names(place))) if ((blocks.get(name)?.until ?? Infinity) <= now()) blocks.delete(name)
      return
    }
    const name = names(place)[refusal.reach]
    const strikes = (blocks.get(name)?.strikes ?? 0) + 1
    const jitter = 0.7 + Math.random() * 0.6
    const wait = refusal.waitMs === undefined ? Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (strikes - 1)) * jitter : refusal.waitMs + 250 * jitter
    blocks.set(name, { until: Math.max(blocks.get(name)?.until ?? 0, now() + wait), strikes })
  }

  function gateOf (place: Place): Gate {
    const { endpoint } = names(place)
    const known = gates.get(endpoint) ?? createGate(AT_ONCE, (interactive) => waitMs(place, interactive))
    gates.set(endpoint, known)
    return known
  }

  return {
    /**
     * Sends one call when its turn has come.
     *
     * @throws AppError `upstream_rate_limited` with `retryAfterS` where the wait is too long to be waited
     */
    async call (place: Place, { interactive, signal }: Urgency, send: () => Promise<Answer>): Promise<Answer> {
      const refuseLong = () => {
        const wait = waitMs(place, interactive)
        if (wait > LONGEST_WAIT_MS[interactive ? 'interactive' : 'background']) {
          throw new AppError('upstream_rate_limited', 'Atlassian limits the rate of calls at the moment. Try again later.', { retryAfterS: Math.ceil(wait / 1000) })
        }
      }
      refuseLong()
      const leave = await gateOf(place).enter(interactive, signal, refuseLong)
      try {
        const answer = await send()
        note(place, answer)
        return answer
      } finally {
        leave()
      }
    },

    waitMs,
    points: used
  }
}

export type Budget = ReturnType<typeof createBudget>

/** A call's site and endpoint, read off its address: what names a thing is left out of the endpoint. */
export function placeOf (app: string, method: string, url: string): Place {
  const { pathname } = new URL(url)
  const [, product = '', cloudId = '', path = pathname] = /^.*?\/ex\/([^/]+)\/([^/]+)(\/.*)$/.exec(pathname) ?? []
  return { app, site: cloudId, endpoint: `${method} ${product}${path.replace(/\/\d+(?=\/|$)/g, '/{id}')}` }
}
