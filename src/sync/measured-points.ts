import type { Collection, Provider } from '../providers/provider.ts'
import type { MeasuredPoints } from '../store/repositories/connection-plans.ts'
import type { RunContext } from './context.ts'

/** Whether other collections of the product refer to this one, as issues refer to projects. */
export function isParent({ collections }: Provider, { name }: Collection): boolean {
  return collections.some(({ parent }) => parent?.collection === name)
}

/** Adds the points of a part of a run to what it has spent. */
export async function measurePart(
  { spending, counters, provider }: RunContext,
  collection: Collection,
  isFull: boolean,
  copy: () => Promise<void>
): Promise<void> {
  const before = counters.points
  spending.isBulk = isFull
  try {
    await copy()
  } finally {
    const points = counters.points - before
    if (isParent(provider, collection)) spending.listing = (spending.listing ?? 0) + points
    else if (isFull) spending.hasFullPart = true
    else spending.routine = (spending.routine ?? 0) + points
  }
}

/** What a run has cost, for the planner; a resumed run tells only the sum. */
export function getMeasuredPoints({
  run,
  counters,
  spending: { listing, routine, hasFullPart }
}: RunContext): MeasuredPoints {
  const isResumed = run.done.length > 0
  return {
    ...(hasFullPart && routine === null ? { fullPoints: counters.points } : {}),
    ...(!isResumed && listing !== null ? { listingPoints: listing } : {}),
    ...(!isResumed && !hasFullPart && routine !== null ? { routinePoints: routine } : {})
  }
}
