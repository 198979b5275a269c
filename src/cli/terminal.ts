/** A moment in local time, with the date where it is not today. */
export function formatTime(at: string | null): string {
  if (at === null) return 'later'
  const date = new Date(at)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleString('en-GB')
}

/** `m:ss`, or `h:mm:ss` from one hour on. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const pad = (part: number) => String(part).padStart(2, '0')
  return `${hours > 0 ? `${hours}:${pad(minutes)}` : minutes}:${pad(seconds % 60)}`
}

/** Replaces control characters in text from elsewhere: a terminal would execute them. */
export function replaceControlChars(text: string): string {
  return text.replace(/\p{C}/gu, '\u{fffd}')
}
