import { canStartBulk, getAvailablePoints, getSpacingMs } from '../src/rate-budget/pacing.ts'
import {
  getNextFullAt,
  getRoutinePoints,
  INTERVAL_JITTER,
  planConnection,
  sharePoints,
  type ConnectionPlan,
  type PlannerConnection,
  type SyncCosts,
  type SyncIntervals
} from '../src/sync/planner.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS
export const QUOTA = 65_000
export const INTERVALS: SyncIntervals = {
  routineMs: 15 * MINUTE_MS,
  listingMs: HOUR_MS,
  fullMs: DAY_MS
}
export interface SiteSize {
  projects: number
  issues: number
  spaces: number
  pages: number
}
export const SITE: SiteSize = { projects: 500, issues: 20_000, spaces: 200, pages: 20_000 }

/** `SYNC_CONCURRENCY`: runs at once, each with one call a second. */
const MAX_RUNS = 4
const STEP_MS = 1_000
/** The service parks a run whose next call is further away. */
const MAX_WAIT_MS = 10_000
/** The beginning is not measured: its phases are invented. */
const WARM_UP_MS = DAY_MS

export interface SimulatedConnection extends PlannerConnection {
  listingCalls: number[]
  itemCalls: number[]
}

interface ActiveConnection extends SimulatedConnection {
  plan: ConnectionPlan
  changesAt: number
  listedAt: number
  fullAt: number
  /** The longest times between two readings. */
  ages: Record<keyof SyncCosts, number>
}

interface SimulatedRun {
  connection: ActiveConnection
  isFull: boolean
  hasListing: boolean
  /** The points of the calls that are still to be sent. */
  calls: number[]
  /** Runs are claimed in this order. */
  id: number
}

export const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0)

/** The points of each call that lists so many items. */
export function toPages(items: number, pageSize: number): number[] {
  const pages = Math.max(1, Math.ceil(items / pageSize))
  return Array.from({ length: pages }, (_, i) => 1 + Math.min(pageSize, items - i * pageSize))
}

/** Users who have connected both products; the Jira connections come first. */
export function createConnections(users: number, site = SITE): SimulatedConnection[] {
  const products = {
    // The count of issues costs one point.
    jira: { listing: toPages(site.projects, 100), items: [1, ...toPages(site.issues, 100)] },
    confluence: { listing: toPages(site.spaces, 250), items: toPages(site.pages, 250) }
  }
  return Object.entries(products).flatMap(([product, { listing, items }]) =>
    Array.from({ length: users }, (_, i) => ({
      key: `${i + 1}/${product}`,
      costs: { routine: 1, listing: sum(listing), full: sum(listing) + sum(items) },
      isIncremental: true,
      listingCalls: listing,
      itemCalls: items
    }))
  )
}

/** The longest ages of each connection's copies, and the points of each hour. */
export function simulate(users: number, days: number) {
  const planned = createConnections(users)
  const shares = sharePoints(planned, QUOTA, INTERVALS)
  const routinePerHour = getRoutinePoints(planned, shares, INTERVALS)
  const random = createRandom(users)
  const hourly: number[] = []
  /** What happens at a step: connections become due, parked runs continue. */
  const agenda = new Map<number, Array<ActiveConnection | SimulatedRun>>()
  const lanes = { routine: 0, bulk: 0 }
  let waiting: SimulatedRun[] = []
  let lastId = 0
  let active: SimulatedRun[] = []

  const schedule = (at: number, entry: ActiveConnection | SimulatedRun) => {
    const step = Math.ceil(at / STEP_MS)
    const entries = agenda.get(step) ?? []
    entries.push(entry)
    agenda.set(step, entries)
  }
  const connections = planned.map((connection): ActiveConnection => {
    const plan = planConnection(connection, shares, INTERVALS)
    // Connected at some time before: every phase of every interval occurs.
    const fullAt = -random() * plan.fullMs
    const active = {
      ...connection,
      plan,
      changesAt: 0,
      fullAt,
      listedAt: Math.max(fullAt, -random() * plan.listingMs),
      ages: { routine: 0, listing: 0, full: 0 }
    }
    schedule(random() * plan.routineMs, active)
    return active
  })

  for (let now = 0; now < WARM_UP_MS + days * DAY_MS; now += STEP_MS) {
    const step = now / STEP_MS
    const entries = agenda.get(step) ?? []
    agenda.delete(step)
    if (entries.length > 0) {
      waiting.push(...entries.map((entry) => ('calls' in entry ? entry : startRun(entry, now))))
      waiting.sort((a, b) => a.id - b.id)
    }
    if (active.length < MAX_RUNS && waiting.length > 0) {
      active.push(...waiting.slice(0, MAX_RUNS - active.length))
      waiting = waiting.filter((run) => !active.includes(run))
    }
    active = active.filter((run) => advance(run, now))
  }
  return { ages: connections.map(({ ages }) => ages), hourly: hourly.slice(WARM_UP_MS / HOUR_MS) }

  function getQuota(callClass: 'routine' | 'bulk', now: number) {
    const hour = Math.floor(now / HOUR_MS)
    const used = hourly[hour] ?? 0
    const resetAt = (hour + 1) * HOUR_MS
    const quota = { limit: QUOTA, isReported: true, used, remaining: QUOTA - used, resetAt }
    const available = getAvailablePoints(quota, callClass, routinePerHour, resetAt - now)
    return { hour, used, resetAt, quota, available }
  }

  function startRun(connection: ActiveConnection, now: number): SimulatedRun {
    const { key, plan, costs, listingCalls, itemCalls, fullAt, listedAt } = connection
    const isFull =
      getNextFullAt(key, fullAt, plan.fullMs, INTERVALS.fullMs) <= now &&
      lanes.bulk <= now &&
      canStartBulk(getQuota('bulk', now), costs.full)
    const hasListing = isFull || listedAt + plan.listingMs <= now
    return {
      connection,
      isFull,
      hasListing,
      calls: [...(hasListing ? listingCalls : []), ...(isFull ? itemCalls : [1])],
      id: ++lastId
    }
  }

  /** @returns false if the run has ended or was parked */
  function advance(run: SimulatedRun, now: number): boolean {
    const callClass = run.isFull ? 'bulk' : 'routine'
    const { hour, used, resetAt, quota, available } = getQuota(callClass, now)
    const until = available <= 0 ? resetAt : lanes[callClass]
    if (until > now) {
      if (until - now <= MAX_WAIT_MS) return true
      schedule(until, run)
      return false
    }
    const points = run.calls.shift() ?? 0
    hourly[hour] = used + points
    const spacingMs = getSpacingMs(quota, callClass, available, now)
    if (spacingMs > 0) lanes[callClass] = Math.min(resetAt, now + points * spacingMs)
    if (run.calls.length > 0) return true
    finishRun(run, now + STEP_MS)
    return false
  }

  function finishRun({ connection, isFull, hasListing }: SimulatedRun, now: number): void {
    const readings = { routine: 'changesAt', listing: 'listedAt', full: 'fullAt' } as const
    const kinds: Array<keyof typeof readings> = ['routine']
    if (hasListing) kinds.push('listing')
    if (isFull) kinds.push('full')
    for (const kind of kinds) {
      const age = now - connection[readings[kind]]
      if (now > WARM_UP_MS) connection.ages[kind] = Math.max(connection.ages[kind], age)
      connection[readings[kind]] = now
    }
    const jitter = 1 - INTERVAL_JITTER + 2 * INTERVAL_JITTER * random()
    schedule(now + connection.plan.routineMs * jitter, connection)
  }
}

/** A linear congruential generator: the same figures on every machine. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
