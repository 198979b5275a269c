/** World time: the real clock (or the one given) plus what was skipped. Milliseconds since the epoch. */
export interface Clock {
  now: () => number
  advance: (ms: number) => void
  reset: () => void
}

export function createClock(real: () => number): Clock {
  let offset = 0
  return {
    now: () => real() + offset,
    advance: (ms) => {
      offset += ms
    },
    reset: () => {
      offset = 0
    }
  }
}
