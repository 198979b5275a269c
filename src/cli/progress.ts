import { formatNumber } from './terminal.ts'

const REDRAW_INTERVAL_MS = 100
const BAR_WIDTH = 25

/** What a terminal is to this, and what a file is. */
export interface ProgressOutput {
  isTTY?: boolean
  write: (text: string) => unknown
}

/**
 * Shows how far something has come: to a terminal in a line that changes, to anything else in a line for each thing that is done.
 *
 * @param total of everything together
 */
export function createProgress(output: ProgressOutput, total: number) {
  let [doneCount, drawnAt] = [0, 0]
  const clear = () => {
    if (output.isTTY === true && drawnAt > 0) output.write('\r\x1b[K')
  }

  return {
    /** So many more are done of the thing that is under way. */
    advance(label: string, count: number): void {
      doneCount += count
      if (output.isTTY !== true || performance.now() - drawnAt < REDRAW_INTERVAL_MS) return
      drawnAt = performance.now()
      const share = Math.min(1, doneCount / Math.max(1, total))
      output.write(
        `\r[${'#'.repeat(Math.floor(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.')}] ${String(Math.floor(share * 100)).padStart(3)} % ${label}, ${formatNumber(doneCount)} of ${formatNumber(total)}\x1b[K`
      )
    },

    /** A thing is done: worth a line in a file. */
    complete(message: string): void {
      if (output.isTTY !== true) output.write(`${message}\n`)
    },

    /** A sentence that stays. */
    log(message: string): void {
      clear()
      output.write(`${message}\n`)
    },

    clear
  }
}

export type Progress = ReturnType<typeof createProgress>
