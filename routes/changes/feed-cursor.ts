import { decodeCursor, encodeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import type { ChangeFeedState } from '../../src/store/repositories/change-feed.ts'

/** The position of a reader of a change feed. */
export interface FeedPosition {
  ownerId: number
  /** The reader has every change up to this one. */
  lastSeq: number
  /** The latest change when its snapshot started: earlier deletions are left out. */
  snapshotSeq: number
  /** The epoch of the feed in which the cursor was issued. */
  epoch: number
  collections: readonly string[]
}

/**
 * `names` is empty for a reader of all collections, including those of later versions. A cursor
 * without `epoch` belongs to epoch 0, as all cursors of earlier versions do.
 */
type EncodedPosition = [
  'changes',
  ownerId: number,
  lastSeq: number,
  snapshotSeq: number,
  names: string,
  epoch?: number
]

/** @param allNames the collections of all products */
export function createFeedCursors(allNames: readonly string[]) {
  const initialPosition = (
    ownerId: number,
    { seq, epoch }: ChangeFeedState,
    collections: readonly string[] = allNames
  ): FeedPosition => ({ ownerId, lastSeq: 0, snapshotSeq: seq, epoch, collections })

  function encode({ ownerId, lastSeq, snapshotSeq, epoch, collections }: FeedPosition): string {
    const names = allNames.filter((name) => collections.includes(name))
    const position: EncodedPosition = [
      'changes',
      ownerId,
      lastSeq,
      snapshotSeq,
      names.length === allNames.length ? '' : names.join()
    ]
    return encodeCursor(epoch === 0 ? position : [...position, epoch])
  }

  /**
   * @param requested the collections that the request names; undefined: those of the cursor
   * @throws AppError `invalid_cursor`, also where the reader of the cursor skipped a requested collection
   */
  function decode(cursor: string, ownerId: number, requested?: readonly string[]): FeedPosition {
    const [, cursorOwnerId, lastSeq, snapshotSeq, encodedNames, epoch = 0] = decodeCursor(
      cursor,
      isEncodedPosition
    ) as EncodedPosition
    if (cursorOwnerId !== ownerId) {
      throw new AppError(
        'invalid_cursor',
        "The cursor belongs to another user's feed. Start without since."
      )
    }
    const covered = allNames.filter(
      (name) => encodedNames === '' || encodedNames.split(',').includes(name)
    )
    const notCovered = requested?.filter((name) => !covered.includes(name)) ?? []
    if (notCovered.length > 0) {
      throw new AppError(
        'invalid_cursor',
        `The cursor belongs to a feed without ${notCovered.join(' and ')}. ` +
          `Start without since, or request ${covered.join(',')} only.`
      )
    }
    return { ownerId, lastSeq, snapshotSeq, epoch, collections: requested ?? covered }
  }

  /** @throws AppError `cursor_expired`, with a new cursor, where changes after it are no longer stored */
  function assertNotExpired(position: FeedPosition, state: ChangeFeedState): void {
    const knownSeq = Math.max(position.lastSeq, position.snapshotSeq)
    // A restored database has another epoch. A number beyond the latest one comes from a database
    // that was restored without `connector db restore`.
    if (position.epoch === state.epoch && knownSeq >= state.prunedSeq && knownSeq <= state.seq) {
      return
    }
    throw new AppError(
      'cursor_expired',
      'The changes after this cursor are no longer stored. Discard the copy and begin ' +
        'with the cursor in this response.',
      { cursor: encode(initialPosition(position.ownerId, state, position.collections)) }
    )
  }

  function isEncodedPosition(value: unknown): value is EncodedPosition {
    return (
      Array.isArray(value) &&
      (value.length === 5 || value.length === 6) &&
      value[0] === 'changes' &&
      value.slice(1, 4).every((each) => Number.isSafeInteger(each) && each >= 0) &&
      value.slice(5).every((each) => Number.isSafeInteger(each) && each > 0) &&
      typeof value[4] === 'string' &&
      (value[4] === '' || value[4].split(',').every((name) => allNames.includes(name)))
    )
  }

  return { initialPosition, encode, decode, assertNotExpired }
}
