import t from 'tap'
import {
  getNextFullAt,
  getRoutinePoints,
  planConnection,
  sharePoints,
  type PlannerConnection,
  type SyncIntervals
} from '../../src/sync/planner.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const QUOTA = 65_000
const INTERVALS: SyncIntervals = {
  routineMs: 15 * MINUTE_MS,
  listingMs: HOUR_MS,
  fullMs: DAY_MS
}
const START_MS = Date.UTC(2026, 4, 4, 8, 20)

const createConnections = (
  count: number,
  costs: PlannerConnection['costs'],
  isIncremental = true
): PlannerConnection[] =>
  Array.from({ length: count }, (_, i) => ({ key: `${i + 1}/jira`, costs, isIncremental }))

const IDLE = { routine: 1, listing: 10, full: 1_000 }
const BIG = { routine: 5, listing: 505, full: 20_700 }

function plan(connections: PlannerConnection[], quota = QUOTA, intervals = INTERVALS) {
  const shares = sharePoints(connections, quota, intervals)
  return connections.map((connection) => planConnection(connection, shares, intervals))
}

/** The points per hour that the plans use. */
function getPlannedPoints(connections: PlannerConnection[], plans = plan(connections)): number {
  return connections.reduce((total, { costs, isIncremental }, i) => {
    const { routineMs = 1, listingMs = 1, fullMs = 1 } = plans[i] ?? {}
    return (
      total +
      HOUR_MS *
        ((isIncremental ? costs.routine / routineMs : 0) +
          costs.listing / Math.max(listingMs, routineMs) +
          costs.full / fullMs)
    )
  }, 0)
}

t.test('Every connection runs at the configured intervals while the quota allows it', (t) => {
  for (const each of plan(createConnections(20, BIG))) {
    t.same(each, {
      ...INTERVALS,
      freshWithinMs: 15 * MINUTE_MS * 1.1 + MINUTE_MS
    })
  }
  t.end()
})

t.test('The plan of any mixture stays within four fifths of the quota', (t) => {
  for (const [idle, big] of [
    [0, 0],
    [1, 0],
    [30_000, 0],
    [0, 30],
    [0, 1_000],
    [5_000, 500],
    [100_000, 10]
  ]) {
    const connections = [...createConnections(idle ?? 0, IDLE), ...createConnections(big ?? 0, BIG)]
    const points = getPlannedPoints(connections)
    t.ok(points <= QUOTA * 0.8 * 1.000_001, `${idle} and ${big}: ${Math.round(points)} points`)
  }
  t.end()
})

t.test('Full runs give way first, then listings; changes keep their interval longest', (t) => {
  const [hundred] = plan(createConnections(100, BIG))
  t.equal(hundred?.routineMs, INTERVALS.routineMs)
  t.ok((hundred?.fullMs ?? 0) > DAY_MS, 'full runs are stretched')
  t.equal((hundred?.fullMs ?? 1) % DAY_MS, 0, 'by whole days: the slot stays')
  const [many] = plan(createConnections(10_000, BIG))
  t.ok((many?.routineMs ?? 0) > INTERVALS.routineMs)
  t.ok((many?.listingMs ?? 0) <= (many?.fullMs ?? 0), 'a full run lists projects too')
  t.ok((many?.freshWithinMs ?? 0) > (many?.routineMs ?? 0), 'and the promise says so')
  t.end()
})

t.test('A large connection is stretched, and small ones beside it are not', (t) => {
  const small = createConnections(100, IDLE)
  const large = createConnections(3, { routine: 20_000, listing: 2_000, full: 1_000_000 })
  const plans = plan([...small, ...large])
  t.ok(plans.slice(0, 100).every(({ routineMs }) => routineMs === INTERVALS.routineMs))
  t.ok(plans.slice(0, 100).every(({ fullMs }) => fullMs === INTERVALS.fullMs))
  t.ok(plans.slice(100).every(({ routineMs }) => routineMs > INTERVALS.routineMs))
  t.ok(plans.slice(100).every(({ fullMs }) => fullMs > INTERVALS.fullMs))
  t.end()
})

t.test('The plan is a function of its arguments, whatever the order of the connections', (t) => {
  const connections = [...createConnections(300, BIG), ...createConnections(300, IDLE)]
  t.same(plan(connections), plan(connections))
  const reversed = plan([...connections].reverse()).reverse()
  t.same(reversed, plan(connections))
  t.end()
})

t.test('A smaller quota stretches more', (t) => {
  const connections = createConnections(200, BIG)
  const [tight, wide] = [10_000, 500_000].map((quota) => plan(connections, quota)[0])
  t.ok((tight?.fullMs ?? 0) > (wide?.fullMs ?? Infinity))
  t.ok((tight?.listingMs ?? 0) > (wide?.listingMs ?? Infinity))
  t.end()
})

t.test('Without a schedule nothing is promised, and nothing is stretched', (t) => {
  const intervals = { ...INTERVALS, routineMs: 0 }
  const connections = createConnections(100_000, BIG)
  t.same(plan(connections, QUOTA, intervals)[0], { ...intervals, freshWithinMs: null })
  t.equal(getRoutinePoints(connections, sharePoints(connections, QUOTA, intervals), intervals), 0)
  t.end()
})

t.test('A connection that cannot be asked for changes is as old as its full runs', (t) => {
  const [only] = plan(createConnections(1, BIG, false))
  t.equal(only?.freshWithinMs, DAY_MS * 1.1 + MINUTE_MS)
  t.end()
})

t.test('Routine points are what bulk calls leave alone', (t) => {
  const connections = createConnections(20, BIG)
  const shares = sharePoints(connections, QUOTA, INTERVALS)
  t.equal(getRoutinePoints(connections, shares, INTERVALS), 20 * (4 * 5 + 505))
  const many = createConnections(100_000, BIG)
  t.ok(
    getRoutinePoints(many, sharePoints(many, QUOTA, INTERVALS), INTERVALS) <= QUOTA * 0.8 * 0.6 + 1
  )
  t.end()
})

t.test('Full runs are spread over the day, and each connection keeps its time of the day', (t) => {
  const byHour = new Map<number, number>()
  for (let i = 1; i <= 2_400; i++) {
    const key = `${i}/jira`
    let at = START_MS
    const slots = new Set<number>()
    for (let day = 0; day < 5; day++) {
      const next = getNextFullAt(key, at, DAY_MS, DAY_MS)
      if (next <= at || next - at > DAY_MS) t.fail(`${key}: ${next - at} ms`)
      // The run ends some minutes after its slot.
      at = next + 7 * MINUTE_MS
      if (day >= 2) slots.add(Math.round((next % DAY_MS) / 1000))
    }
    if (slots.size !== 1) t.fail(`${key} has ${slots.size} slots`)
    const hour = Math.floor(([...slots][0] ?? 0) / 3_600)
    byHour.set(hour, (byHour.get(hour) ?? 0) + 1)
  }
  const counts = [...byHour.values()]
  t.equal(counts.length, 24)
  t.ok(Math.max(...counts) < 150, `at most ${Math.max(...counts)} of 2,400 in one hour`)
  t.end()
})

t.test('A stretched full run comes in its slot, and never later than planned', (t) => {
  for (const days of [1, 2, 7, 45]) {
    for (let i = 0; i < 200; i++) {
      const last = START_MS + i * 433 * MINUTE_MS
      const gap = getNextFullAt(`${i}/jira`, last, days * DAY_MS, DAY_MS) - last
      const least = (days - 1) * DAY_MS + DAY_MS / 4
      if (gap > days * DAY_MS || gap < least - 1) t.fail(`${days} days: ${gap} ms`)
    }
  }
  t.end()
})
