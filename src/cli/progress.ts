import { number } from './terminal.ts'

const REDRAW_MS = 100
const BAR = 25

/** What a terminal is to this, and what a file is. */
export interface Output {
  isTTY?: boolean
  write: (text: string) => unknown
}

/**
 * Shows how far something has come: to a terminal in a line that changes, to anything else in a line for each thing that is done.
 *
 * @param total of everything together
 */
export function createProgress(output: Output, total: number) {
  let [done, drawnAt] = [0, 0]
  const clear = () => {
    if (output.isTTY === true && drawnAt > 0) output.write('\r\x1b[K')
  }

  return {
    /** So many more are done of the thing that is under way. */
    step(what: string, count: number): void {
      done += count
      if (output.isTTY !== true || performance.now() - drawnAt < REDRAW_MS) return
      drawnAt = performance.now()
      const share = Math.min(1, done / Math.max(1, total))
      output.write(
        `\r[${'#'.repeat(Math.floor(share * BAR)).padEnd(BAR, '.')}] ${String(Math.floor(share * 100)).padStart(3)} % ${what}, ${number(done)} of ${number(total)}\x1b[K`
      )
    },

    /** A thing is done: worth a line in a file. */
    end(sentence: string): void {
      if (output.isTTY !== true) output.write(`${sentence}\n`)
    },

    /** A sentence that stays. */
    say(sentence: string): void {
      clear()
      output.write(`${sentence}\n`)
    },

    clear
  }
}

export type Progress = ReturnType<typeof createProgress>
