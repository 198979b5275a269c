const DAY_MS = 86_400_000
const MAX_CACHED_DAYS = 10_000
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'))

/**
 * The date part, such as `2026-05-04T`. It is slow to compute, and the items of a list share few
 * days.
 */
const dayCache = new Map<number, string>()

/** Same result as `toISOString`, several times faster; it took half the time of a list. */
export function formatIsoDate(time: number): string {
  const wholeMs = Math.trunc(time)
  const day = Math.floor(wholeMs / DAY_MS)
  const ms = wholeMs - day * DAY_MS
  const [hours, minutes, seconds] = [
    Math.floor(ms / 3_600_000),
    Math.floor(ms / 60_000) % 60,
    Math.floor(ms / 1000) % 60
  ]
  const wholeSeconds = `${TWO_DIGITS[hours]}:${TWO_DIGITS[minutes]}:${TWO_DIGITS[seconds]}`
  return `${formatDay(day)}${wholeSeconds}.${String(1000 + (ms % 1000)).slice(1)}Z`
}

function formatDay(day: number): string {
  const cached = dayCache.get(day)
  if (cached !== undefined) return cached
  const text = new Date(day * DAY_MS).toISOString().slice(0, -'00:00:00.000Z'.length)
  if (dayCache.size >= MAX_CACHED_DAYS) dayCache.clear()
  dayCache.set(day, text)
  return text
}

/** Formats a time as Jira does. */
export function formatJiraDate(time: number): string {
  return `${formatIsoDate(time).slice(0, -1)}+0000`
}
