import { decodeCursor, encodeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import type { ChangeFeedState } from '../../src/store/repositories/change-feed.ts'
import { COLLECTIONS, type CollectionName } from '../../src/model/items.ts'

/** Where a reader of a feed is. */
export interface FeedPosition {
  ownerId: number
  /** It has read every change up to this one. */
  lastSeq: number
  /** The latest change when its snapshot was begun: what had been deleted by then is not told. */
  snapshotSeq: number
  collections: readonly CollectionName[]
}

/** `names` are empty where it has read all collections, those that a later version may have among them. */
type EncodedPosition = [
  'changes',
  ownerId: number,
  lastSeq: number,
  snapshotSeq: number,
  names: string
]

export function initialPosition(
  ownerId: number,
  { seq }: ChangeFeedState,
  collections: readonly CollectionName[] = COLLECTIONS
): FeedPosition {
  return { ownerId, lastSeq: 0, snapshotSeq: seq, collections }
}

export function encodeFeedCursor({
  ownerId,
  lastSeq,
  snapshotSeq,
  collections
}: FeedPosition): string {
  return encodeCursor([
    'changes',
    ownerId,
    lastSeq,
    snapshotSeq,
    encodeCollections(collections)
  ] satisfies EncodedPosition)
}

/**
 * @param requested what is asked for; undefined: what the cursor was handed out for
 * @throws AppError `invalid_cursor`, also where it has passed by changes of what is asked for
 */
export function decodeFeedCursor(
  cursor: string,
  ownerId: number,
  requested?: readonly CollectionName[]
): FeedPosition {
  const [, cursorOwnerId, lastSeq, snapshotSeq, encodedNames] = decodeCursor(
    cursor,
    isEncodedPosition
  ) as EncodedPosition
  if (cursorOwnerId !== ownerId) {
    throw new AppError(
      'invalid_cursor',
      "The cursor is one of another user's feed. Start without since."
    )
  }
  const covered = COLLECTIONS.filter(
    (name) => encodedNames === '' || encodedNames.split(',').includes(name)
  )
  const notCovered = requested?.filter((name) => !covered.includes(name)) ?? []
  if (notCovered.length > 0) {
    throw new AppError(
      'invalid_cursor',
      `The cursor is one of a feed without ${notCovered.join(' and ')}. Start without since, or ask for ${covered.join(',')} only.`
    )
  }
  return { ownerId, lastSeq, snapshotSeq, collections: requested ?? covered }
}

/** @throws AppError `cursor_expired`, with a fresh one, where changes behind it can no longer be told */
export function assertNotExpired(position: FeedPosition, state: ChangeFeedState): void {
  const knownSeq = Math.max(position.lastSeq, position.snapshotSeq)
  // A number that was never handed out is one of a database that has since been restored from a backup.
  if (knownSeq >= state.prunedSeq && knownSeq <= state.seq) return
  throw new AppError(
    'cursor_expired',
    'The changes behind this cursor are no longer kept. Forget what was read, and begin with the cursor that is given.',
    { cursor: encodeFeedCursor(initialPosition(position.ownerId, state, position.collections)) }
  )
}

function encodeCollections(collections: readonly CollectionName[]): string {
  return COLLECTIONS.every((name) => collections.includes(name))
    ? ''
    : COLLECTIONS.filter((name) => collections.includes(name)).join()
}

function isEncodedPosition(value: unknown): value is EncodedPosition {
  return (
    Array.isArray(value) &&
    value.length === 5 &&
    value[0] === 'changes' &&
    value.slice(1, 4).every((each) => Number.isSafeInteger(each) && each >= 0) &&
    typeof value[4] === 'string' &&
    (value[4] === '' ||
      value[4].split(',').every((name) => (COLLECTIONS as readonly string[]).includes(name)))
  )
}
