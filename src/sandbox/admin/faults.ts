export const FAULT_KINDS = [
  'status',
  'delay',
  'delay-after',
  'drop-before',
  'drop-after',
  'html',
  'truncate',
  'hang',
  'garbage',
  'redirect',
  'huge'
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/**
 * A fault to inject. With `delay`, `delay-after`, `drop-after` and `truncate` the sandbox still
 * handles the call; every other kind replaces the handling.
 */
export interface Fault {
  kind: FaultKind
  /**
   * A part of the path, or a pattern with an asterisk for the whole path, below the prefix of
   * the sandbox.
   */
  match: { path?: string; method?: string }
  /** Number of calls the fault applies to. */
  times: number
  /** Number of matching calls that pass before the first fault. */
  skip: number
  status?: number
  body?: unknown
  headers?: Record<string, string>
  delay_ms?: number
  /** Size of a `huge` response. */
  bytes?: number
}

export interface Faults {
  add: (fault: Fault) => void
  /** Returns the first matching fault that is not used up, and counts one use. */
  take: (method: string, path: string) => Fault | undefined
  list: () => readonly Fault[]
  clear: () => void
}

const MAX_FAULTS = 1000

export function createFaults(): Faults {
  let faults: Fault[] = []

  function take(method: string, path: string) {
    for (const fault of faults) {
      if (!isMatch(fault, method, path)) continue
      if (fault.skip > 0) {
        fault.skip--
        continue
      }
      fault.times--
      if (fault.times <= 0) faults = faults.filter((other) => other !== fault)
      return fault
    }
    return undefined
  }

  return {
    take,
    add: (fault) => {
      faults = [...faults, fault].slice(-MAX_FAULTS)
    },
    list: () => faults,
    clear: () => {
      faults = []
    }
  }
}

function isMatch({ match }: Fault, method: string, path: string): boolean {
  const isSameMethod = match.method === undefined || match.method.toUpperCase() === method
  return isSameMethod && (match.path === undefined || isPathMatch(match.path, path))
}

/** Whether the pattern is a part of the path, or with asterisks all of it. */
export function isPathMatch(pattern: string, path: string): boolean {
  if (!pattern.includes('*')) return path.includes(pattern)
  const [first = '', ...rest] = pattern.split('*')
  if (!path.startsWith(first)) return false
  const last = rest.pop() ?? ''
  let index = first.length
  for (const part of rest) {
    const found = path.indexOf(part, index)
    if (found < 0) return false
    index = found + part.length
  }
  return path.length - last.length >= index && path.endsWith(last)
}
