import { readFileSync } from 'node:fs'

/**
 * The number of descriptors that this process may have open (`ulimit -n`); undefined where there is
 * no limit, as on Windows. Node raises its soft limit to the hard one at start.
 */
export function getOpenFilesLimit(): number | undefined {
  const limits = readLimits()
  if (limits === undefined) return getReportedLimit()
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? []
  return soft === undefined ? undefined : Number(soft)
}

/** The limits of this process, where the system lists them in a file: only Linux does. */
function readLimits(): string | undefined {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return undefined
  }
}

/** A report takes 10 ms and more, because it lists the stack and every library. */
function getReportedLimit(): number | undefined {
  const { report } = process
  if (report === undefined) return undefined
  // A newer property: the names of peers are not looked up.
  Object.assign(report, { excludeNetwork: true })
  const { userLimits } = report.getReport() as {
    userLimits?: { open_files?: { soft?: number | string } }
  }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : undefined
}
