const OF_EVERY_LINE = ['timestamp', 'level', 'logger', 'event']

/** A log that reads each line as it comes and keeps what is wrong with it, so that a long run needs no memory for it. */
export function createLogReader() {
  const wrong = new Map<string, string>()
  const note = (what: string, line: string) => {
    if (!wrong.has(what)) wrong.set(what, line.slice(0, 300))
  }
  let lines = 0
  return {
    /** What is wrong, each kind with one line. */
    wrong,
    count: () => lines,
    write(line: string): void {
      lines++
      if (line.indexOf('\n') !== line.length - 1 || line.includes('\r')) note('not one line', line)
      try {
        const fields = JSON.parse(line) as Record<string, unknown>
        for (const name of OF_EVERY_LINE) {
          if (typeof fields[name] !== 'string') note(`without ${name}`, line)
        }
        if (
          fields.request_id !== undefined &&
          !/^[A-Za-z0-9._-]{1,64}$/.test(String(fields.request_id))
        ) {
          note('with an odd request id', line)
        }
        if (fields.event === 'forged' || fields.level === 'fatal') note('forged', line)
      } catch {
        note('not JSON', line)
      }
    }
  }
}
