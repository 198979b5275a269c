import { randomUUID } from 'node:crypto'
import { AppError } from '../lib/errors.ts'
import type { Answer } from '../lib/http-client.ts'
import type { Budgets } from '../store/repositories/rate-budgets.ts'
import { createGate, type Gate } from './priority-queue.ts'
import { pointsLeft, pointsOf, refusalOf, type Reach } from './rate-limit-headers.ts'

/** Whose budget a call is of. */
export interface Place {
  app: string
  site: string
  endpoint: string
}

export interface Urgency {
  /** Somebody waits for the answer: it goes before what nobody waits for. */
  interactive: boolean
  signal?: AbortSignal | undefined
}

export interface BudgetSettings {
  /** What other instances have met and spent. */
  shared: Budgets
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
/** Points are told to the others no more often than that. */
const TELL_MS = 1_000

/** Points of an hour, as far as this process knows, and what of them the others have not been told. */
interface Account {
  hour: number
  used: number
  untold: number
  floor: number
  toldAt: number
}

/**
 * The one budget of everything that calls Atlassian, from whichever instance: a refusal at one place holds whoever else would
 * call there, nobody calls before the time that Atlassian has named, and whoever waits for an answer goes first.
 */
export function createBudget({ shared, now, hourlyPoints }: BudgetSettings) {
  const me = randomUUID()
  const blocks = new Map<string, { until: number; strikes: number }>()
  const ledger = new Map<string, Account>()
  const gates = new Map<string, Gate>()

  const names = ({ app, site, endpoint }: Place): Record<Reach, string> => ({
    app,
    site: `${app} ${site}`,
    endpoint: `${app} ${site} ${endpoint}`
  })
  const hourOf = () => Math.floor(now() / HOUR_MS)
  const used = (app: string) => {
    const account = ledger.get(app)
    return account?.hour === hourOf() ? account.used : 0
  }

  /** How long a call has to wait, in milliseconds. */
  function waitMs(place: Place, interactive: boolean): number {
    const until = Math.max(
      ...Object.values(names(place)).map((name) => blocks.get(name)?.until ?? 0)
    )
    const spent = used(place.app) >= hourlyPoints * (interactive ? 1 : BACKGROUND_SHARE)
    return Math.max(0, until - now(), spent ? (hourOf() + 1) * HOUR_MS - now() : 0)
  }

  /** What the others have met and spent since. */
  async function learn(place: Place): Promise<void> {
    await tell(place.app)
    const account = accountOf(place.app)
    for (const { name, waitMs, owner, strikes, hour, used: spent } of await shared.look(
      Object.values(names(place))
    )) {
      if (owner !== me && waitMs > 0) {
        blocks.set(name, { until: Math.max(blocks.get(name)?.until ?? 0, now() + waitMs), strikes })
      }
      if (name === place.app && hour === account.hour) {
        account.used = Math.max(account.used, spent + account.untold)
      }
    }
  }

  /** Tells the others what has been spent here. */
  async function tell(app: string): Promise<void> {
    const account = accountOf(app)
    const { hour, untold, floor, toldAt } = account
    if (untold === 0 || performance.now() - toldAt < TELL_MS) return
    Object.assign(account, { untold: 0, toldAt: performance.now() })
    const spent = await shared.spend(app, hour, untold, floor)
    account.used = Math.max(account.used, spent + account.untold)
  }

  function accountOf(app: string): Account {
    const known = ledger.get(app)
    if (known?.hour === hourOf()) return known
    const account = { hour: hourOf(), used: 0, untold: 0, floor: 0, toldAt: performance.now() }
    ledger.set(app, account)
    return account
  }

  async function note(place: Place, answer: Answer): Promise<void> {
    const refusal = refusalOf(answer, now())
    const account = accountOf(place.app)
    const points = pointsOf(answer)
    account.floor = Math.max(account.floor, hourlyPoints - (pointsLeft(answer) ?? hourlyPoints))
    account.used = Math.max(account.used + points, account.floor)
    account.untold += points
    if (refusal === undefined) {
      for (const name of Object.values(names(place))) {
        if ((blocks.get(name)?.until ?? Infinity) <= now()) blocks.delete(name)
      }
      return
    }
    const name = names(place)[refusal.reach]
    const strikes = (blocks.get(name)?.strikes ?? 0) + 1
    const jitter = 0.7 + Math.random() * 0.6
    const wait =
      refusal.waitMs === undefined
        ? Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (strikes - 1)) * jitter
        : refusal.waitMs + 250 * jitter
    blocks.set(name, { until: Math.max(blocks.get(name)?.until ?? 0, now() + wait), strikes })
    await shared.block(name, Math.ceil(wait), me, strikes)
  }

  function gateOf(place: Place): Gate {
    const { endpoint } = names(place)
    const known =
      gates.get(endpoint) ?? createGate(AT_ONCE, (interactive) => waitMs(place, interactive))
    gates.set(endpoint, known)
    return known
  }

  return {
    /**
     * Sends one call when its turn has come.
     *
     * @throws AppError `upstream_rate_limited` with `retryAfterS` where the wait is too long to be waited
     */
    async call(
      place: Place,
      { interactive, signal }: Urgency,
      send: () => Promise<Answer>
    ): Promise<Answer> {
      const refuseLong = () => {
        const wait = waitMs(place, interactive)
        if (wait > LONGEST_WAIT_MS[interactive ? 'interactive' : 'background']) {
          throw new AppError(
            'upstream_rate_limited',
            'Atlassian limits the rate of calls at the moment. Try again later.',
            { retryAfterS: Math.ceil(wait / 1000) }
          )
        }
      }
      while (true) {
        refuseLong()
        const leave = await gateOf(place).enter(interactive, signal, refuseLong)
        try {
          await learn(place)
          // Somebody else has been refused meanwhile: back to the end of the queue.
          if (waitMs(place, interactive) > 0) continue
          const answer = await send()
          await note(place, answer)
          return answer
        } finally {
          leave()
        }
      }
    },

    waitMs,
    points: used
  }
}

export type Budget = ReturnType<typeof createBudget>

/** A call's site and endpoint, read off its address: what names a thing is left out of the endpoint. */
export function placeOf(app: string, method: string, url: string): Place {
  const { pathname } = new URL(url)
  const [, product = '', cloudId = '', path = pathname] =
    /\/ex\/([^/]+)\/([^/]+)(\/.*)$/s.exec(pathname) ?? []
  return {
    app,
    site: cloudId,
    endpoint: `${method} ${product}${path.replace(/\/\d+(?=\/|$)/g, '/{id}')}`
  }
}
