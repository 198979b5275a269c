/** Sandbox time: the real or given clock plus all advances. Milliseconds since the epoch. */
export interface SandboxClock {
  now: () => number
  advance: (ms: number) => void
  reset: () => void
}

export function createSandboxClock(realNow: () => number): SandboxClock {
  let offset = 0
  return {
    now: () => realNow() + offset,
    advance: (ms) => {
      offset += ms
    },
    reset: () => {
      offset = 0
    }
  }
}
