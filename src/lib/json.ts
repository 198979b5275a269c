/** What upstream sends is looked at before it is believed: these say what it is. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * A text as the database can keep it on every engine: ids may come as numbers, NUL is dropped and unpaired surrogates are
 * replaced. null for anything that is no text, or an empty one.
 */
export function toStorableText(value: unknown): string | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null
  return String(value).replaceAll('\0', '').toWellFormed() || null
}
