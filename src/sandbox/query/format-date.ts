const DAY_MS = 86_400_000
const MAX_CACHED_DAYS = 10_000
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'))

/** The part before the hours, `2026-05-04T`: it takes long to work out, and a list holds many times of few days. */
const dayCache = new Map<number, string>()

/** What `toISOString` gives, a few times faster: half the time of a list went into it. */
export function formatIsoDate(time: number): string {
  const wholeMs = Math.trunc(time)
  const day = Math.floor(wholeMs / DAY_MS)
  const ms = wholeMs - day * DAY_MS
  const [hours, minutes, seconds] = [
    Math.floor(ms / 3_600_000),
    Math.floor(ms / 60_000) % 60,
    Math.floor(ms / 1000) % 60
  ]
  return `${formatDay(day)}${TWO_DIGITS[hours]}:${TWO_DIGITS[minutes]}:${TWO_DIGITS[seconds]}.${String(1000 + (ms % 1000)).slice(1)}Z`
}

function formatDay(day: number): string {
  const cached = dayCache.get(day)
  if (cached !== undefined) return cached
  const text = new Date(day * DAY_MS).toISOString().slice(0, -'00:00:00.000Z'.length)
  if (dayCache.size >= MAX_CACHED_DAYS) dayCache.clear()
  dayCache.set(day, text)
  return text
}

/** Jira's way of writing an instant. */
export function formatJiraDate(time: number): string {
  return `${formatIsoDate(time).slice(0, -1)}+0000`
}
