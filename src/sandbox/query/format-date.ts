const DAY_MS = 86_400_000
const MOST_DAYS = 10_000
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'))

/** The part before the hours, `2026-05-04T`: it takes long to work out, and a list holds many times of few days. */
const days = new Map<number, string>()

/** What `toISOString` gives, a few times faster: half the time of a list went into it. */
export function isoInstant(time: number): string {
  const whole = Math.trunc(time)
  const day = Math.floor(whole / DAY_MS)
  const ms = whole - day * DAY_MS
  const [hours, minutes, seconds] = [
    Math.floor(ms / 3_600_000),
    Math.floor(ms / 60_000) % 60,
    Math.floor(ms / 1000) % 60
  ]
  return `${dayOf(day)}${TWO_DIGITS[hours]}:${TWO_DIGITS[minutes]}:${TWO_DIGITS[seconds]}.${String(1000 + (ms % 1000)).slice(1)}Z`
}

function dayOf(day: number): string {
  const known = days.get(day)
  if (known !== undefined) return known
  const text = new Date(day * DAY_MS).toISOString().slice(0, -'00:00:00.000Z'.length)
  if (days.size >= MOST_DAYS) days.clear()
  days.set(day, text)
  return text
}

/** Jira's way of writing an instant. */
export function jiraInstant(time: number): string {
  return `${isoInstant(time).slice(0, -1)}+0000`
}
