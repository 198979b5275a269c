import { formatDuration } from './terminal.ts'

const MAX_BAR_WIDTH = 25
const MIN_BAR_WIDTH = 5
/** Where the output is no terminal, at most one line in this time, unless another step begins. */
const LOG_INTERVAL_MS = 5_000
const REDRAW_INTERVAL_MS = 1_000
const MIN_REDRAW_INTERVAL_MS = 100
/** Some terminals report no width, or 0. */
const DEFAULT_COLUMNS = 80

/** The part of a stream that progress needs: standard error is one, a terminal or not. */
export interface ProgressOutput {
  isTTY?: boolean
  columns?: number
  write: (text: string) => unknown
}

export interface ProgressState {
  /** What is being done. A change of it is logged at once. */
  step: string
  text: string
  /** From 0 to 1. Without it there is no bar. */
  share?: number | undefined
}

/** Shows progress: on a terminal as one line that is redrawn, elsewhere as a line from time to time. */
export function createProgress(output: ProgressOutput) {
  const isTerminal = output.isTTY === true
  const startedAt = performance.now()
  const getElapsedMs = () => performance.now() - startedAt
  let state: ProgressState | undefined
  let isDrawn = false
  let [drawnAt, loggedAt, loggedStep] = [-Infinity, -Infinity, '']
  const draw = (): void => {
    if (state === undefined) return
    drawnAt = getElapsedMs()
    isDrawn = true
    const columns = (output.columns || DEFAULT_COLUMNS) - 1
    output.write(`\r${formatProgressLine(state, drawnAt, columns)}\x1b[K`)
  }
  const timer = isTerminal ? setInterval(draw, REDRAW_INTERVAL_MS) : undefined
  timer?.unref()

  return {
    isTerminal,

    update(next: ProgressState): void {
      const isNewStep = next.step !== state?.step
      state = next
      isDrawn = false
      if (isTerminal) {
        if (isNewStep || getElapsedMs() - drawnAt >= MIN_REDRAW_INTERVAL_MS) draw()
        return
      }
      if (next.step === loggedStep && getElapsedMs() - loggedAt < LOG_INTERVAL_MS) return
      loggedStep = next.step
      loggedAt = getElapsedMs()
      output.write(`${formatProgressLine(next, loggedAt)}\n`)
    },

    /** Writes a line that stays. */
    log(message: string): void {
      output.write(`${isTerminal && state !== undefined ? '\r\x1b[K' : ''}${message}\n`)
      if (isTerminal) draw()
    },

    /** Leaves the last state on the terminal. */
    finish(): void {
      clearInterval(timer)
      if (isTerminal && state !== undefined) {
        if (!isDrawn) draw()
        output.write('\n')
      }
      state = undefined
    }
  }
}

export type Progress = ReturnType<typeof createProgress>

/**
 * One line of progress.
 *
 * @param columns its maximum length; the bar takes what the text leaves. Without it there is no bar
 */
export function formatProgressLine(
  { text, share }: ProgressState,
  elapsedMs: number,
  columns?: number
): string {
  const line = `${text} · ${formatDuration(elapsedMs)}`
  if (columns === undefined) return line
  const barWidth = Math.min(MAX_BAR_WIDTH, columns - line.length - '[] 100 % '.length)
  const bar = share === undefined || barWidth < MIN_BAR_WIDTH ? '' : formatBar(share, barWidth)
  return `${bar}${line}`.slice(0, columns)
}

function formatBar(share: number, width: number): string {
  const filled = Math.min(1, Math.max(0, share))
  const percent = String(Math.floor(filled * 100)).padStart(3)
  return `[${'#'.repeat(Math.floor(filled * width)).padEnd(width, '.')}] ${percent} % `
}
