import { AppError } from '../lib/errors.ts'
import type { Collection } from '../providers/provider.ts'
import type { Partition } from '../store/repositories/checkpoints.ts'
import type { RunCounters } from '../store/repositories/sync-runs.ts'

/** Whether another collection of the same site listed nothing at all in this run. */
export function hasEmptyListing({ site: cloudId }: Partition, { failures }: RunCounters): boolean {
  return failures.some(({ site, code }) => site === cloudId && code === 'listing_empty')
}

export function createEmptyListingError({ name }: Collection): AppError {
  return new AppError(
    'listing_empty',
    `Atlassian listed no ${name} at all. Either there are none, or the account cannot see them; ` +
      'nothing is deleted.'
  )
}
