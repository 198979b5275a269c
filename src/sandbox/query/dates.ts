export const MINUTE_MS = 60_000
/** 1973 to 5138. */
const EPOCH_MS = /^\d{12,14}$/
const UNIT_MS: Record<string, number> = {
  m: MINUTE_MS,
  h: 60 * MINUTE_MS,
  d: 1440 * MINUTE_MS,
  w: 7 * 1440 * MINUTE_MS
}

/**
 * Queries have a resolution of one minute (docs/reference/atlassian.md#83-jql-search and
 * #94-cql-search).
 */
function floorMinute(time: number): number {
  return Math.floor(time / MINUTE_MS) * MINUTE_MS
}

/**
 * Parses a date as JQL and CQL do: `2026-05-04 08:00`, `2026/05/04`, `-2d`, `now()`, `now(-2d)`,
 * epoch milliseconds.
 *
 * @param timeZone the user's time zone, in which absolute dates are interpreted
 * @returns milliseconds since the epoch, or undefined if it is not a date
 */
export function parseQueryDate(text: string, timeZone: string, now: number): number | undefined {
  const inner = /^now\((.*)\)$/.exec(text)?.[1]
  if (inner === '') return floorMinute(now)
  const [, sign, count, unit = ''] = /^([+-]?)(\d{1,6})([mhdw])$/.exec(inner ?? text) ?? []
  const unitMs = UNIT_MS[unit]
  if (unitMs !== undefined) {
    return floorMinute(now + (sign === '-' ? -1 : 1) * Number(count) * unitMs)
  }
  if (EPOCH_MS.test(text)) return floorMinute(Number(text))
  const absolute = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2}))?$/.exec(text)
  if (absolute === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = absolute
    .slice(1)
    .map((part = '0') => Number(part))
  const local = Date.UTC(year, month - 1, day, hour, minute)
  const isValid = new Date(local).getUTCDate() === day && month <= 12 && hour < 24 && minute < 60
  return isValid ? local - zoneOffset(local - zoneOffset(local, timeZone), timeZone) : undefined
}

/** The zone's offset from UTC at that time, in milliseconds. */
function zoneOffset(time: number, timeZone: string): number {
  const {
    year = 0,
    month = 0,
    day = 0,
    hour = 0,
    minute = 0,
    second = 0
  } = Object.fromEntries(
    getDateTimeFormat(timeZone)
      .formatToParts(time)
      .map(({ type, value }) => [type, Number(value)])
  )
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(time / 1000) * 1000
}

/** One formatter per zone, because creating one is slow. */
const formatCache = new Map<string, Intl.DateTimeFormat>()

function getDateTimeFormat(timeZone: string): Intl.DateTimeFormat {
  const format =
    formatCache.get(timeZone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric'
    })
  formatCache.set(timeZone, format)
  return format
}

/** Compares `time` with a bound; both are truncated to the minute. */
export function compareMinutes(time: number, operator: string, bound: number): boolean {
  const difference = floorMinute(time) - floorMinute(bound)
  switch (operator) {
    case '<':
      return difference < 0
    case '<=':
      return difference <= 0
    case '>':
      return difference > 0
    case '>=':
      return difference >= 0
    case '!=':
      return difference !== 0
    default:
      return difference === 0
  }
}
