import { AppError } from '../lib/errors.ts'

/** Calls that each part of a run may make in any case. */
const BASE_CALLS = 50
/** Further calls, as a multiple of those that should be needed: retries and smaller pages. */
const SAFETY_FACTOR = 3
/** Items in the smallest full page. */
const MIN_FULL_PAGE = 50
/** Ids in the smallest batch of look-ups, two batches each, and single requests for a sample. */
const MIN_LOOK_UP_BATCH = 49
const CALLS_PER_LOOK_UP_BATCH = 3

/**
 * Limits the calls of a run in proportion to what it should need, so that no run goes on for ever
 * whatever Atlassian returns.
 */
export interface CallCeiling {
  /** A part begins that reads about this many items. */
  allowPart: (storedItems: number) => void
  /** A page contained items that the listing had not returned before. */
  allowProgress: () => void
  allowLookUps: (items: number) => void
  /** @throws AppError `call_limit_reached` */
  count: () => void
}

export function createCallCeiling(): CallCeiling {
  let [made, allowed] = [0, 0]
  return {
    allowPart: (storedItems) => {
      allowed += BASE_CALLS + SAFETY_FACTOR * Math.ceil(storedItems / MIN_FULL_PAGE)
    },
    allowProgress: () => {
      allowed += SAFETY_FACTOR
    },
    allowLookUps: (items) => {
      allowed +=
        BASE_CALLS + CALLS_PER_LOOK_UP_BATCH * SAFETY_FACTOR * Math.ceil(items / MIN_LOOK_UP_BATCH)
    },
    count: () => {
      if (++made <= allowed) return
      throw new AppError(
        'call_limit_reached',
        'The run made far more calls than it should need, and was ended. The next run continues there.'
      )
    }
  }
}
