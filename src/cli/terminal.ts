import type { Run } from './sync-client.ts'

const LONGEST_BAR = 25
const SHORTEST_BAR = 5
/** To a file a line when something else is copied, and otherwise no more often than this. */
const LINE_EVERY_MS = 5_000
const REDRAW_MS = 1_000
/** Some terminals do not say how wide they are, or say 0. */
const NARROW = 80

/** What a terminal is to this, and what a file is. */
export interface Output {
  isTTY?: boolean
  columns?: number
  write: (text: string) => unknown
}

/** Shows how a run is doing: to a terminal a line that changes, to anything else a line now and then. */
export function createDisplay(output: Output) {
  const began = performance.now()
  const elapsed = () => performance.now() - began
  let current: Run | undefined
  let saidAt = -Infinity
  let saidOf = ''
  const draw = (): void => {
    if (current !== undefined) {
      output.write(`\r${progressLine(current, elapsed(), (output.columns || NARROW) - 1)}\x1b[K`)
    }
  }
  const timer = output.isTTY === true ? setInterval(draw, REDRAW_MS) : undefined

  return {
    show(run: Run): void {
      current = run
      if (output.isTTY === true) return draw()
      const what = `${run.state} ${run.progress?.collection}`
      if (what === saidOf && elapsed() - saidAt < LINE_EVERY_MS) return
      saidOf = what
      saidAt = elapsed()
      output.write(`${progressLine(run, elapsed())}\n`)
    },

    /** A sentence that stays. */
    say(sentence: string): void {
      output.write(
        `${output.isTTY === true && current !== undefined ? '\r\x1b[K' : ''}${sentence}\n`
      )
      if (output.isTTY === true) draw()
    },

    /** Leaves the last line as it is. */
    end(): void {
      clearInterval(timer)
      if (output.isTTY === true && current !== undefined) output.write('\n')
      current = undefined
    }
  }
}

/**
 * How a run is doing, in a line.
 *
 * @param columns how long it may be; its bar takes what is left. Without it there is none
 */
export function progressLine(run: Run, elapsedMs: number, columns?: number): string {
  const {
    state,
    progress,
    counts: { added, changed, removed, held, skipped }
  } = run
  const counts = [
    `${number(added)} added`,
    `${number(changed)} changed`,
    `${number(removed)} removed`,
    ...(held > 0 ? [`${number(held)} held`] : []),
    ...(skipped > 0 ? [`${number(skipped)} skipped`] : [])
  ].join(', ')
  const [where, share] =
    state === 'parked'
      ? [`parked until ${time(run.next_run_at)}`]
      : progress === null
        ? [state === 'queued' ? 'waiting for its turn' : 'beginning']
        : part(progress)
  const line = `${where} · ${counts} · ${clock(elapsedMs)}`
  if (columns === undefined) return line
  const room = Math.min(LONGEST_BAR, columns - line.length - '[] 100 % '.length)
  return `${share === undefined || room < SHORTEST_BAR ? '' : bar(share, room)}${line}`.slice(
    0,
    columns
  )
}

function part({
  collection,
  done,
  expected
}: NonNullable<Run['progress']>): [text: string, share?: number] {
  const so = `${plain(collection)} ${number(done)}`
  // What is expected may be an estimate.
  return expected === null || expected < 1
    ? [so]
    : [`${so} of ${number(expected)}`, Math.min(1, done / expected)]
}

function bar(share: number, width: number): string {
  return `[${'#'.repeat(Math.floor(share * width)).padEnd(width, '.')}] ${String(Math.floor(share * 100)).padStart(3)} % `
}

export function number(value: number): string {
  return value.toLocaleString('en')
}

/** A moment as the clock on the wall has it, with the day where that is another one. */
export function time(at: string | null): string {
  if (at === null) return 'later'
  const date = new Date(at)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleString('en-GB')
}

/** Minutes and seconds. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return `${hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}` : minutes}:${String(seconds % 60).padStart(2, '0')}`
}

/** Text from elsewhere, without what a terminal would obey. */
export function plain(text: string): string {
  return text.replace(/\p{C}/gu, '\u{fffd}')
}
