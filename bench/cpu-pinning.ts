import { execFileSync } from 'node:child_process'

/** The core of the servers and the core of the load generator. */
export interface CpuAssignment {
  server: string
  load: string
}

/**
 * Pins this process, which generates the load, to one core and reserves another for the subjects.
 *
 * @returns undefined if `taskset` is missing or only one core is available
 */
export function assignCores(): CpuAssignment | undefined {
  try {
    const listed = execFileSync('taskset', ['-cp', String(process.pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore']
    })
    const [server, load] = expandCpuList(listed.slice(listed.lastIndexOf(':') + 1).trim())
    if (server === undefined || load === undefined) return undefined
    pinProcess(process.pid, load)
    return { server, load }
  } catch {
    return undefined
  }
}

/** Restricts all threads of a process, and those that it will start, to some cores. */
export function pinProcess(pid: number | undefined, cores: string): void {
  execFileSync('taskset', ['-acp', cores, String(pid)], { stdio: 'ignore' })
}

/** Expands `0,2-4` to 0, 2, 3, 4. */
function expandCpuList(list: string): string[] {
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => String(first + i))
  })
}
