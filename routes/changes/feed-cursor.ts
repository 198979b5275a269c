import { readCursor, writeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import type { FeedState } from '../../src/store/repositories/change-feed.ts'
import { COLLECTIONS, type CollectionName } from '../../src/model/items.ts'

/** Where a reader of a feed is. */
export interface Position {
  owner: number
  /** It has read every change up to this one. */
  at: number
  /** The latest change when its snapshot was begun: what had been deleted by then is not told. */
  horizon: number
  names: readonly CollectionName[]
}

/** `names` are empty where it has read all collections, those that a later version may have among them. */
type Held = ['changes', owner: number, at: number, horizon: number, names: string]

export function begin(
  owner: number,
  { seq }: FeedState,
  names: readonly CollectionName[] = COLLECTIONS
): Position {
  return { owner, at: 0, horizon: seq, names }
}

export function write({ owner, at, horizon, names }: Position): string {
  return writeCursor(['changes', owner, at, horizon, nameOf(names)] satisfies Held)
}

/**
 * @param names what is asked for; undefined: what the cursor was handed out for
 * @throws AppError `invalid_cursor`, also where it has passed by changes of what is asked for
 */
export function read(cursor: string, owner: number, names?: readonly CollectionName[]): Position {
  const [, of, at, horizon, held] = readCursor(cursor, isHeld) as Held
  if (of !== owner) {
    throw new AppError(
      'invalid_cursor',
      "The cursor is one of another user's feed. Start without since."
    )
  }
  const known = COLLECTIONS.filter((name) => held === '' || held.split(',').includes(name))
  const passedBy = names?.filter((name) => !known.includes(name)) ?? []
  if (passedBy.length > 0) {
    throw new AppError(
      'invalid_cursor',
      `The cursor is one of a feed without ${passedBy.join(' and ')}. Start without since, or ask for ${known.join(',')} only.`
    )
  }
  return { owner, at, horizon, names: names ?? known }
}

/** @throws AppError `cursor_expired`, with a fresh one, where changes behind it can no longer be told */
export function assertKept(position: Position, state: FeedState): void {
  const seen = Math.max(position.at, position.horizon)
  // A number that was never handed out is one of a database that has since been restored from a backup.
  if (seen >= state.forgotten && seen <= state.seq) return
  throw new AppError(
    'cursor_expired',
    'The changes behind this cursor are no longer kept. Forget what was read, and begin with the cursor that is given.',
    { cursor: write(begin(position.owner, state, position.names)) }
  )
}

function nameOf(names: readonly CollectionName[]): string {
  return COLLECTIONS.every((name) => names.includes(name))
    ? ''
    : COLLECTIONS.filter((name) => names.includes(name)).join()
}

function isHeld(value: unknown): value is Held {
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
