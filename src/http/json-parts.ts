import { randomUUID } from 'node:crypto'
import { sliceText } from './slice-text.ts'

/** Longer texts are escaped in parts of this length, in characters. */
const LONG_TEXT_LENGTH = 60_000
/** Stands for a long text. No caller knows it. */
const MARK = randomUUID()
const MARKED_TEXT = new RegExp(`("${MARK}\\.\\d+")`)

/**
 * Serialises a value in parts: a text of megabytes as one would block the event loop and need its
 * size once more in memory.
 *
 * @param serialize the serialiser of the whole value, called with a copy whose long texts are short
 */
export function* serializeInParts<Value extends object>(
  value: Value,
  serialize: (value: Value) => string = JSON.stringify
): Generator<string> {
  if (!hasLongText(value)) {
    yield serialize(value)
    return
  }
  const texts: string[] = []
  const short = replaceLongTexts(value, texts) as Value
  for (const [i, part] of serialize(short).split(MARKED_TEXT).entries()) {
    if (i % 2 === 0) yield part
    else yield* escapeText(texts[Number(part.slice(MARK.length + 2, -1))] ?? '')
  }
}

function hasLongText(value: unknown): boolean {
  if (typeof value === 'string') return value.length >= LONG_TEXT_LENGTH
  return value !== null && typeof value === 'object' && Object.values(value).some(hasLongText)
}

function replaceLongTexts(value: unknown, texts: string[]): unknown {
  if (typeof value === 'string') {
    return value.length < LONG_TEXT_LENGTH ? value : `${MARK}.${texts.push(value) - 1}`
  }
  if (Array.isArray(value)) return value.map((item) => replaceLongTexts(item, texts))
  if (value === null || typeof value !== 'object' || value instanceof Date) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, replaceLongTexts(field, texts)])
  )
}

function* escapeText(text: string): Generator<string> {
  yield '"'
  for (const part of sliceText(text, LONG_TEXT_LENGTH)) yield JSON.stringify(part).slice(1, -1)
  yield '"'
}
