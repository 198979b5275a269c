import { AppError } from '../lib/errors.ts'

/** Where a list goes on, as an opaque word: what it holds is nobody's business and may change. */
export function encodeCursor(position: readonly unknown[]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url')
}

/**
 * @param isPosition whether what the cursor holds is a position of this list
 * @throws AppError `invalid_cursor`
 */
export function decodeCursor<T extends readonly unknown[]>(
  cursor: string | undefined,
  isPosition: (position: unknown) => position is T
): T | undefined {
  if (cursor === undefined) return undefined
  try {
    const position: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    // Node's decoder skips what it does not know; one position has one cursor.
    if (isPosition(position) && encodeCursor(position) === cursor) return position
  } catch {
    /* answered below, like a cursor of another list */
  }
  throw new AppError(
    'invalid_cursor',
    'The cursor is not one that this list has handed out. Start from the beginning.'
  )
}

/** The position of a list that is sorted by id alone. */
export function isIdPosition(value: unknown): value is [number] {
  return Array.isArray(value) && value.length === 1 && Number.isSafeInteger(value[0])
}
