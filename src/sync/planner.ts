/** Points that a connection's runs cost, as measured. */
export interface SyncCosts {
  /** One reading of what changed. */
  routine: number
  /** One listing of projects or spaces. */
  listing: number
  /** One full run. */
  full: number
}

/** How often every connection is synced while the quota allows it, in ms. */
export interface SyncIntervals {
  /** Reading of changes; 0: on request only. */
  routineMs: number
  /** Listing of projects or spaces. */
  listingMs: number
  /** Full runs. */
  fullMs: number
}

export interface PlannerConnection {
  /** Identifies it; determines its slot of the day. */
  key: string
  costs: SyncCosts
  /** Whether changes can be read; otherwise only full runs update it. */
  isIncremental: boolean
}

/**
 * Points per hour that each connection may use for a class of calls. A connection that needs less
 * than its share runs at the normal interval, and leaves the rest to the others.
 */
export type PointShares = Record<keyof SyncCosts, number>

/** The schedule of one connection. */
export interface ConnectionPlan extends SyncIntervals {
  /**
   * The oldest that a change at Atlassian can be before it is copied, in ms; null without a
   * schedule.
   */
  freshWithinMs: number | null
}

const HOUR_MS = 3_600_000
/** From four fifths of a quota on, calls are spaced, so no more is planned. */
const PLANNED_SHARE = 0.8
/**
 * Shares of the planned points if all classes need more than there are: changes first, then the
 * full runs that find deletions. Unknown projects and spaces are listed at once anyway.
 */
const CLASS_WEIGHTS: PointShares = { routine: 0.5, listing: 0.1, full: 0.4 }
const CLASSES = Object.keys(CLASS_WEIGHTS) as Array<keyof SyncCosts>
/** Intervals vary by this share, so that runs do not start together. */
export const INTERVAL_JITTER = 0.1
/** From the due time of a run to the last row that it saves, if nothing delays it. */
const RUN_TIME_MS = 60_000
/** Two full runs are at least this part of the interval apart. */
const MIN_FULL_GAP = 0.25

/**
 * Shares an app's hourly quota among its connections.
 *
 * @param hourlyPoints the quota
 */
export function sharePoints(
  connections: readonly PlannerConnection[],
  hourlyPoints: number,
  intervals: SyncIntervals
): PointShares {
  const demands = connections.map((connection) => getDemand(connection, intervals))
  const totals = CLASSES.map((name) => sum(demands.map((demand) => demand[name])))
  const budgets = splitBudget(hourlyPoints * PLANNED_SHARE, totals)
  return Object.fromEntries(
    CLASSES.map((name, i) => [
      name,
      findShare(
        demands.map((demand) => demand[name]),
        budgets[i] ?? 0
      )
    ])
  ) as PointShares
}

/** The points per hour that routine calls and listings of these connections use under the shares. */
export function getRoutinePoints(
  connections: readonly PlannerConnection[],
  shares: PointShares,
  intervals: SyncIntervals
): number {
  return sum(
    connections.map((connection) => {
      const demand = getDemand(connection, intervals)
      return Math.min(demand.routine, shares.routine) + Math.min(demand.listing, shares.listing)
    })
  )
}

/** The schedule of a connection: intervals are stretched as far as its share requires. */
export function planConnection(
  connection: PlannerConnection,
  shares: PointShares,
  intervals: SyncIntervals
): ConnectionPlan {
  const demand = getDemand(connection, intervals)
  const stretch = (name: keyof SyncCosts) =>
    demand[name] > shares[name] ? demand[name] / shares[name] : 1
  const routineMs = intervals.routineMs * stretch('routine')
  // A whole number of days (or of the configured interval): the slot stays the same.
  const fullMs = intervals.fullMs * Math.ceil(stretch('full'))
  const longestGapMs = connection.isIncremental ? routineMs : fullMs
  return {
    routineMs,
    listingMs: Math.min(fullMs, intervals.listingMs * stretch('listing')),
    fullMs,
    freshWithinMs:
      intervals.routineMs === 0 ? null : longestGapMs * (1 + INTERVAL_JITTER) + RUN_TIME_MS
  }
}

/**
 * When the next full run is due. Each connection has a slot in the configured interval, by
 * default a time of the day, so that full runs are spread over it. The gap never exceeds the
 * planned interval.
 *
 * @param lastAt the end of the latest complete full run
 * @param fullMs the planned interval, a multiple of `slotsMs`
 * @param slotsMs the configured interval
 */
export function getNextFullAt(
  key: string,
  lastAt: number,
  fullMs: number,
  slotsMs: number
): number {
  const offset = toFraction(key) * slotsMs
  const earliest = lastAt + fullMs - slotsMs * (1 - MIN_FULL_GAP)
  const slot = (Math.floor((earliest - offset) / slotsMs) + 1) * slotsMs + offset
  // After this shorter gap, the slot is far enough away.
  return slot - lastAt <= fullMs ? slot : lastAt + fullMs - slotsMs * MIN_FULL_GAP
}

/** Points per hour at the normal intervals. */
function getDemand(
  { costs: { routine, listing, full }, isIncremental }: PlannerConnection,
  { routineMs, listingMs, fullMs }: SyncIntervals
): SyncCosts {
  if (routineMs === 0) return { routine: 0, listing: 0, full: 0 }
  return {
    routine: isIncremental ? (routine * HOUR_MS) / routineMs : 0,
    // Listings happen in routine runs only.
    listing: (listing * HOUR_MS) / Math.max(routineMs, listingMs),
    full: (full * HOUR_MS) / fullMs
  }
}

/**
 * Gives each class what it needs, or its weight of what is left; what a class does not need goes
 * to the others.
 */
function splitBudget(budget: number, totals: readonly number[]): number[] {
  const given = totals.map(() => 0)
  let open = totals.map((_, i) => i)
  let left = budget
  while (open.length > 0) {
    const weights = sum(open.map(getWeight))
    const satisfied = open.filter((i) => (totals[i] ?? 0) <= (left * getWeight(i)) / weights)
    if (satisfied.length === 0) {
      for (const i of open) given[i] = (left * getWeight(i)) / weights
      break
    }
    for (const i of satisfied) given[i] = totals[i] ?? 0
    left -= sum(satisfied.map((i) => totals[i] ?? 0))
    open = open.filter((i) => !satisfied.includes(i))
  }
  return given
}

function getWeight(classIndex: number): number {
  const name = CLASSES[classIndex]
  return name === undefined ? 0 : CLASS_WEIGHTS[name]
}

/** The share per connection with which all demands together use the budget; Infinity if they fit. */
function findShare(demands: readonly number[], budget: number): number {
  const sorted = [...demands].sort((a, b) => a - b)
  let left = budget
  for (const [i, demand] of sorted.entries()) {
    const share = left / (sorted.length - i)
    // Rounding must not stretch what fits exactly.
    if (demand > share * (1 + Number.EPSILON * sorted.length)) return share
    left -= demand
  }
  return Infinity
}

/** FNV-1a of the text, from 0 to 1. */
function toFraction(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  // The last bytes change the low bits only; a second round spreads them.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((hash ^ (hash >>> 12)) >>> 0) / 2 ** 32
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
