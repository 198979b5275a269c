import { AppError } from '../lib/errors.ts'

/** Encodes the position of a list as an opaque cursor. Its content may change at any time. */
export function encodeCursor(position: readonly unknown[]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url')
}

/**
 * @param isPosition whether the decoded value is a position of this list
 * @throws AppError `invalid_cursor`
 */
export function decodeCursor<T extends readonly unknown[]>(
  cursor: string | undefined,
  isPosition: (position: unknown) => position is T
): T | undefined {
  if (cursor === undefined) return undefined
  try {
    const position: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    // Node's decoder skips invalid characters; each position has exactly one cursor.
    if (isPosition(position) && encodeCursor(position) === cursor) return position
  } catch {
    /* same error as for a cursor of another list */
  }
  throw new AppError('invalid_cursor', 'The cursor is not from this list. Start without a cursor.')
}

/** Whether a value is the position of a list sorted by id. */
export function isIdPosition(value: unknown): value is [number] {
  return Array.isArray(value) && value.length === 1 && Number.isSafeInteger(value[0])
}
