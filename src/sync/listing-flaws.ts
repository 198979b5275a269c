import { AppError, type ErrorCode } from '../lib/errors.ts'
import type { ItemBatch, ListingFlaw } from '../providers/provider.ts'

/**
 * Why a listing proves no deletion. After `undelivered` the failed items are known and retried,
 * so that the next copies can be incremental; after any other flaw the next copy is a full one.
 */
export type CheckpointFlaw = ListingFlaw | 'undelivered' | 'too_many_failures'

const ERRORS: Record<Exclude<CheckpointFlaw, 'undelivered'>, [code: ErrorCode, reason: string]> = {
  truncated: ['listing_incomplete', 'Atlassian warned that the list of {name} is not complete.'],
  cut_off: ['listing_incomplete', "Atlassian's list of {name} ended early."],
  too_many_failures: ['listing_incomplete', 'Too many {name} could not be stored.'],
  repeated: ['upstream_repeats_pages', 'Atlassian returned the same page of {name} again.'],
  empty_pages: ['upstream_repeats_pages', 'Atlassian returned many empty pages of {name}.']
}

/** The flaw of a listing after one more batch; the first one counts. */
export function findFlaw(flaw: string | null, { flaw: found, invalidItems }: ItemBatch) {
  return (
    flaw ??
    found ??
    (invalidItems.some(({ isUndelivered }) => isUndelivered === true) ? 'undelivered' : null)
  )
}

export function isFatalFlaw(flaw: string | null): flaw is Exclude<CheckpointFlaw, 'undelivered'> {
  return flaw !== null && flaw !== 'undelivered'
}

export function createFlawError(
  flaw: Exclude<CheckpointFlaw, 'undelivered'>,
  collection: string
): AppError {
  const [code, reason] = ERRORS[flaw]
  return new AppError(
    code,
    `${reason.replace('{name}', collection)} Nothing is deleted because of it.`
  )
}
