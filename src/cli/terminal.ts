import type { ApiRun } from './sync-client.ts'

const MAX_BAR_WIDTH = 25
const MIN_BAR_WIDTH = 5
/** To a file a line when something else is copied, and otherwise no more often than this. */
const LOG_INTERVAL_MS = 5_000
const REDRAW_INTERVAL_MS = 1_000
/** Some terminals do not say how wide they are, or say 0. */
const DEFAULT_COLUMNS = 80

/** What a terminal is to this, and what a file is. */
export interface TerminalOutput {
  isTTY?: boolean
  columns?: number
  write: (text: string) => unknown
}

/** Shows how a run is doing: to a terminal a line that changes, to anything else a line now and then. */
export function createRunProgress(output: TerminalOutput) {
  const startedAt = performance.now()
  const getElapsedMs = () => performance.now() - startedAt
  let currentRun: ApiRun | undefined
  let loggedAt = -Infinity
  let loggedLabel = ''
  const draw = (): void => {
    if (currentRun !== undefined) {
      output.write(
        `\r${formatProgressLine(currentRun, getElapsedMs(), (output.columns || DEFAULT_COLUMNS) - 1)}\x1b[K`
      )
    }
  }
  const timer = output.isTTY === true ? setInterval(draw, REDRAW_INTERVAL_MS) : undefined

  return {
    update(run: ApiRun): void {
      currentRun = run
      if (output.isTTY === true) return draw()
      const label = `${run.state} ${run.progress?.collection}`
      if (label === loggedLabel && getElapsedMs() - loggedAt < LOG_INTERVAL_MS) return
      loggedLabel = label
      loggedAt = getElapsedMs()
      output.write(`${formatProgressLine(run, getElapsedMs())}\n`)
    },

    /** A sentence that stays. */
    log(message: string): void {
      output.write(
        `${output.isTTY === true && currentRun !== undefined ? '\r\x1b[K' : ''}${message}\n`
      )
      if (output.isTTY === true) draw()
    },

    /** Leaves the last line as it is. */
    finish(): void {
      clearInterval(timer)
      if (output.isTTY === true && currentRun !== undefined) output.write('\n')
      currentRun = undefined
    }
  }
}

/**
 * How a run is doing, in a line.
 *
 * @param columns how long it may be; its bar takes what is left. Without it there is none
 */
export function formatProgressLine(run: ApiRun, elapsedMs: number, columns?: number): string {
  const {
    state,
    progress,
    counts: { added, changed, removed, held, skipped }
  } = run
  const counts = [
    `${formatNumber(added)} added`,
    `${formatNumber(changed)} changed`,
    `${formatNumber(removed)} removed`,
    ...(held > 0 ? [`${formatNumber(held)} held`] : []),
    ...(skipped > 0 ? [`${formatNumber(skipped)} skipped`] : [])
  ].join(', ')
  const [label, share] =
    state === 'parked'
      ? [`parked until ${formatTime(run.next_run_at)}`]
      : progress === null
        ? [state === 'queued' ? 'waiting for its turn' : 'beginning']
        : formatCollectionProgress(progress)
  const line = `${label} · ${counts} · ${formatDuration(elapsedMs)}`
  if (columns === undefined) return line
  const barWidth = Math.min(MAX_BAR_WIDTH, columns - line.length - '[] 100 % '.length)
  return `${share === undefined || barWidth < MIN_BAR_WIDTH ? '' : formatBar(share, barWidth)}${line}`.slice(
    0,
    columns
  )
}

function formatCollectionProgress({
  collection,
  done,
  expected
}: NonNullable<ApiRun['progress']>): [text: string, share?: number] {
  const text = `${stripControlChars(collection)} ${formatNumber(done)}`
  // What is expected may be an estimate.
  return expected === null || expected < 1
    ? [text]
    : [`${text} of ${formatNumber(expected)}`, Math.min(1, done / expected)]
}

function formatBar(share: number, width: number): string {
  return `[${'#'.repeat(Math.floor(share * width)).padEnd(width, '.')}] ${String(Math.floor(share * 100)).padStart(3)} % `
}

export function formatNumber(value: number): string {
  return value.toLocaleString('en')
}

/** A moment as the clock on the wall has it, with the day where that is another one. */
export function formatTime(at: string | null): string {
  if (at === null) return 'later'
  const date = new Date(at)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleString('en-GB')
}

/** Minutes and seconds. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return `${hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}` : minutes}:${String(seconds % 60).padStart(2, '0')}`
}

/** Text from elsewhere, without what a terminal would obey. */
export function stripControlChars(text: string): string {
  return text.replace(/\p{C}/gu, '\u{fffd}')
}
