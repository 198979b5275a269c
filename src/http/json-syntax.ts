const STRING_PATTERN = String.raw`"(?:[ !#-[\]-\u{10ffff}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*`
const NUMBER_PATTERN = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?`
/** Punctuation, a string and its closing quote, or a number or literal, after white space. */
const TOKEN = new RegExp(
  String.raw`[ \t\n\r]*(?:([[\]{},:])|(${STRING_PATTERN})("?)|${NUMBER_PATTERN}|true|false|null)`,
  'uy'
)
const WHITE_SPACE = /[ \t\n\r]*/y

/** What may come next. */
type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'comma' | 'end'

/**
 * Says where a text stops being JSON (RFC 8259). The messages of `JSON.parse` quote the text and
 * have no position for some errors.
 *
 * @returns the rest of a sentence; of the text it contains one visible ASCII character at most.
 *   Undefined if the text is JSON
 */
export function describeSyntaxError(text: string): string | undefined {
  const containers: string[] = []
  let expected: Expected = 'value'
  let position = 0
  while (true) {
    TOKEN.lastIndex = position
    const match = TOKEN.exec(text)
    const start = skipWhiteSpace(text, position)
    if (start === text.length) {
      return expected === 'end' ? undefined : `it ends too early, at ${locate(text, start)}`
    }
    const [token = '', mark, openString, closingQuote] = match ?? []
    if (openString !== undefined && closingQuote === '') {
      const place = locate(text, position + token.length)
      return `a string has no end, or an invalid character or escape, at ${place}`
    }
    const next: Expected | undefined =
      match === null ? undefined : advance(expected, mark, openString, containers)
    if (next === undefined) {
      const character = text.charAt(start)
      const shown = /[!-~]/.test(character) ? `unexpected ${character}` : 'an unexpected character'
      return `${shown} at ${locate(text, start)}`
    }
    expected = next
    position += token.length
  }
}

/** @returns what may come after the token; undefined if the token may not be here */
function advance(
  expected: Expected,
  mark: string | undefined,
  string: string | undefined,
  containers: string[]
): Expected | undefined {
  const afterValue = (): Expected => (containers.length === 0 ? 'end' : 'comma')
  const isValueExpected = expected === 'value' || expected === 'value or ]'
  if (mark === undefined) {
    if (isValueExpected) return afterValue()
    return string !== undefined && (expected === 'key' || expected === 'key or }')
      ? 'colon'
      : undefined
  }
  if (mark === '{' || mark === '[') {
    if (!isValueExpected) return undefined
    containers.push(mark)
    return mark === '{' ? 'key or }' : 'value or ]'
  }
  if (mark === ':') return expected === 'colon' ? 'value' : undefined
  const container = containers.at(-1)
  if (mark === ',') {
    if (expected !== 'comma') return undefined
    return container === '{' ? 'key' : 'value'
  }
  const isClosing =
    container === (mark === '}' ? '{' : '[') &&
    (expected === 'comma' || expected === (mark === '}' ? 'key or }' : 'value or ]'))
  if (!isClosing) return undefined
  containers.pop()
  return afterValue()
}

function skipWhiteSpace(text: string, position: number): number {
  WHITE_SPACE.lastIndex = position
  return position + (WHITE_SPACE.exec(text)?.[0].length ?? 0)
}

/** Lines and columns count from 1; a column is a UTF-16 code unit. */
function locate(text: string, position: number): string {
  const before = text.slice(0, position)
  const line = before.split('\n').length
  return `line ${line}, column ${position - before.lastIndexOf('\n')}`
}
