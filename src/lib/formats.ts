/** Text that every engine can store: no NUL, no unpaired surrogate. */
export function isStorableText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0')
}

/** Controls, formatting characters (bidirectional marks among them), line separators, invisible ones. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
/** URL parsers read `%2e` as a dot (WHATWG URL, "double-dot URL path segment"). */
const DOT_SEGMENT = /^(\.|%2e){1,2}$/i
const SLASH = /[/\\]|%2f|%5c/i

/**
 * A key or id as one segment of a path, which people can tell from another by looking at it: no
 * character that is invisible or changes the direction of text, no slash, not `.` or `..`.
 */
export function isKey(value: string): boolean {
  return (
    isStorableText(value) &&
    !INVISIBLE.test(value) &&
    !SLASH.test(value) &&
    !DOT_SEGMENT.test(value)
  )
}

const LOCAL_PART = /^[^\s@<>()[\],;:"\\\p{C}.]+(\.[^\s@<>()[\],;:"\\\p{C}.]+)*$/u
const LABEL = String.raw`[\p{L}\p{N}\p{M}]([\p{L}\p{N}\p{M}-]{0,61}[\p{L}\p{N}\p{M}])?`
const DOMAIN = new RegExp(String.raw`^(?=.{1,253}$)${LABEL}(\.${LABEL})+$`, 'u')

/**
 * One bare email address, internationalised or not (RFC 6531), with a dot in its domain. Display
 * forms and quoted local parts are refused (docs/reference/contract.md#1-endpoints).
 */
export function isEmail(value: string): boolean {
  if (value.length > 254 || !isStorableText(value)) return false
  const atIndex = value.lastIndexOf('@')
  return (
    atIndex > 0 &&
    atIndex <= 64 &&
    LOCAL_PART.test(value.slice(0, atIndex)) &&
    DOMAIN.test(value.slice(atIndex + 1))
  )
}

/** A link that is safe to display: http(s), absolute, without credentials. */
export function isHttpUrl(value: string): boolean {
  if (!isStorableText(value) || !/^https?:\/\/(?!\/)[^\s\\\p{Cc}]+$/iu.test(value)) return false
  const url = URL.parse(value)
  return url !== null && url.username === '' && url.password === ''
}

/** An ISO 8601 time with a zone. */
export function isIsoDateTime(value: string): boolean {
  return (
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/.test(value) &&
    !Number.isNaN(Date.parse(value))
  )
}

/** Formats a number with separators: `12,345`. */
export function formatNumber(value: number): string {
  return value.toLocaleString('en')
}
