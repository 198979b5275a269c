import { fstatSync, writeSync } from 'node:fs'

/** What waits while nobody reads, in characters: half a minute of 1,000 requests a second. */
const MAX_PENDING_CHARS = 8 * 1024 * 1024
/** Lines are joined up to this length, because each write is a system call. */
const BATCH_CHARS = 64 * 1024
const RETRY_INTERVAL_MS = 1_000
/**
 * Lines wait for the end of the turn of the event loop, and no longer than this for the next line: what
 * a kill may lose is bounded by 10 ms (docs/operations/logs.md#what-a-crash-loses).
 */
const MAX_WAIT_MS = 5

/** Writes a text and calls back with how many of its bytes are written, and why not more. */
export type LogSink = (text: Buffer, done: (error: Error | null, byteCount: number) => void) => void

/** Where log lines are written; one call per line. */
export interface LogDestination {
  write: (line: string) => void
}

/** A destination of log lines that never makes the process wait. */
export interface LogOutput extends LogDestination {
  /** Number of lines that were discarded because the buffer was full. */
  readonly droppedCount: number
  /** Is called with the number of discarded lines when lines can be written again. */
  onRecovered: (droppedCount: number) => void
  /** Whether each line is written before the next statement of the program, unless others wait. */
  isSynchronous: boolean
  /**
   * Waits until everything is written, at most for a time in ms.
   *
   * @returns the number of lines that are lost if the process ends now
   */
  flush: (timeoutMs: number) => Promise<number>
  /** Writes, at the end of the process, what no other write is busy with. */
  flushSync: () => void
}

interface Batch {
  text: string
  lineCount: number
}

/**
 * Keeps lines in memory and writes them when the sink takes them. While it takes none (a reader that
 * paused, a full disk) further lines are kept up to a maximum, and then discarded and counted.
 */
export function createLogOutput({
  sink = createStdoutSink(),
  maxPendingChars = MAX_PENDING_CHARS
}: { sink?: LogSink; maxPendingChars?: number } = {}): LogOutput {
  let queue: Batch[] = []
  let current: Batch | undefined
  let pendingChars = 0
  let droppedCount = 0
  let reportedCount = 0
  let isScheduled = false
  let scheduledAt = 0
  let onEmpty = (): void => {}

  const output: LogOutput = {
    get droppedCount() {
      return droppedCount
    },
    onRecovered: () => {},
    isSynchronous: false,
    write(line) {
      if (pendingChars + line.length > maxPendingChars) {
        droppedCount++
        return
      }
      pendingChars += line.length
      if (output.isSynchronous && current === undefined && queue.length === 0) {
        writeNow(line)
        return
      }
      const last = queue.at(-1)
      if (last === undefined || last.text.length > BATCH_CHARS) {
        queue.push({ text: line, lineCount: 1 })
      } else {
        last.text += line
        last.lineCount++
      }
      if (current !== undefined) return
      const now = performance.now()
      if (isScheduled) {
        if (now - scheduledAt > MAX_WAIT_MS) writeNext()
        return
      }
      isScheduled = true
      scheduledAt = now
      // With the lines of other requests that end in this turn of the event loop.
      setImmediate(writeNext)
    },
    async flush(timeoutMs) {
      if (pendingChars > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs)
          onEmpty = () => {
            clearTimeout(timer)
            resolve()
          }
          writeNext()
        })
      }
      const pending = current === undefined ? queue : [current, ...queue]
      return (
        droppedCount - reportedCount + pending.reduce((sum, { lineCount }) => sum + lineCount, 0)
      )
    },
    flushSync() {
      if (current !== undefined) return
      try {
        for (const { text } of queue) writeAllSync(Buffer.from(text))
      } catch {
        // Nobody reads, and the process ends.
      }
      queue = []
    }
  }
  return output

  function writeNext(): void {
    isScheduled = false
    if (current !== undefined) return
    current = queue.shift()
    if (current !== undefined) writeBytes(Buffer.from(current.text))
  }

  /** What the reader does not take now is written later, as without this. */
  function writeNow(line: string): void {
    const bytes = Buffer.from(line)
    let offset = 0
    try {
      while (offset < bytes.length) offset += writeSync(1, bytes, offset)
      pendingChars -= line.length
    } catch {
      current = { text: line, lineCount: 1 }
      writeBytes(bytes.subarray(offset))
    }
  }

  function writeBytes(bytes: Buffer): void {
    sink(bytes, (error, byteCount) => {
      if (error === null) {
        onWritten()
        return
      }
      setTimeout(() => {
        writeBytes(bytes.subarray(byteCount))
      }, RETRY_INTERVAL_MS).unref()
    })
  }

  function onWritten(): void {
    pendingChars -= current?.text.length ?? 0
    current = undefined
    if (droppedCount > reportedCount) {
      const count = droppedCount - reportedCount
      reportedCount = droppedCount
      output.onRecovered(count)
    }
    if (pendingChars === 0) onEmpty()
    else writeNext()
  }
}

function writeAllSync(bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length;) offset += writeSync(1, bytes, offset)
}

/**
 * Writes to standard output without making the process wait. Node's own stream does so for pipes and
 * sockets, but not for files and terminals.
 */
function createStdoutSink(): LogSink {
  const status = fstatSync(1)
  if (status.isFile()) return writeToFile
  const { stdout } = process
  // Terminals stop on Ctrl-S. There is no public way to this flag.
  const { _handle: handle } = stdout as { _handle?: { setBlocking?: (value: boolean) => void } }
  if (stdout.isTTY) handle?.setBlocking?.(false)
  // The callback of each write gets the same error.
  stdout.on('error', () => {})
  return (text, done) => {
    stdout.write(text, (error) => {
      done(error ?? null, 0)
    })
  }
}

/**
 * The kernel copies the batch into its cache. A thread would do so later, perhaps too late: of a process
 * that was killed on a busy machine, lines of 180 ms were missing.
 */
function writeToFile(text: Buffer, done: (error: Error | null, byteCount: number) => void): void {
  let offset = 0
  try {
    while (offset < text.length) offset += writeSync(1, text, offset)
  } catch (error) {
    done(error as Error, offset)
    return
  }
  done(null, offset)
}
