const REQUIRED_LOG_FIELDS = ['timestamp', 'level', 'logger', 'event']

/**
 * A log stream that checks each line and keeps only problems, so that a long run needs little
 * memory.
 */
export function createLogChecker() {
  const problems = new Map<string, string>()
  const addProblem = (problem: string, line: string) => {
    if (!problems.has(problem)) problems.set(problem, line.slice(0, 300))
  }
  let lines = 0
  return {
    /** The problems, one sample line for each kind. */
    wrong: problems,
    count: () => lines,
    write(line: string): void {
      lines++
      if (line.indexOf('\n') !== line.length - 1 || line.includes('\r')) {
        addProblem('not one line', line)
      }
      try {
        const fields = JSON.parse(line) as Record<string, unknown>
        for (const name of REQUIRED_LOG_FIELDS) {
          if (typeof fields[name] !== 'string') addProblem(`without ${name}`, line)
        }
        if (
          fields.request_id !== undefined &&
          !/^[A-Za-z0-9._-]{1,64}$/.test(String(fields.request_id))
        ) {
          addProblem('with an odd request id', line)
        }
        if (fields.event === 'forged' || fields.level === 'fatal') addProblem('forged', line)
      } catch {
        addProblem('not JSON', line)
      }
    }
  }
}
