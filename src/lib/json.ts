/** Whether an upstream value is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Converts an upstream value to text that every engine can store: numbers become text, NUL is
 * removed and unpaired surrogates are replaced. Returns null for other types and for empty text.
 */
export function toStorableText(value: unknown): string | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null
  return String(value).replaceAll('\0', '').toWellFormed() || null
}
