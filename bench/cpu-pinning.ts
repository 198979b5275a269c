import { execFileSync } from 'node:child_process'

/** Which core serves and which one asks. */
export interface CpuAssignment {
  server: string
  load: string
}

/**
 * Keeps this process, which makes the load, on one core, so that the contenders can have another.
 *
 * @returns undefined where `taskset` is missing or there is only one core to use
 */
export function assignCores(): CpuAssignment | undefined {
  try {
    const listed = execFileSync('taskset', ['-cp', String(process.pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore']
    })
    const [server, load] = expandCpuList(listed.slice(listed.lastIndexOf(':') + 1).trim())
    if (server === undefined || load === undefined) return undefined
    execFileSync('taskset', ['-acp', load, String(process.pid)], { stdio: 'ignore' })
    return { server, load }
  } catch {
    return undefined
  }
}

/** `0,2-4` to 0, 2, 3, 4. */
function expandCpuList(list: string): string[] {
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => String(first + i))
  })
}
