import { createHash } from 'node:crypto'

const LOG_KEPT = 1000
const LABELS_KEPT = 500

/** One call as it is remembered: never its token, only a hash that tells tokens apart. */
export interface Logged {
  at: number
  method: string
  path: string
  status: number
  token: string | null
}

export interface Stats {
  call: (label: string, entry: Logged) => void
  exchange: (grantType: string, outcome: string) => void
  /** Counts a connection once, however many calls it carries. */
  connection: (socket: object) => void
  read: () => { calls: Record<string, number>, exchanges: Record<string, Record<string, number>>, connections: number, log: Logged[] }
  clear: () => void
}

/** First 16 hex digits of SHA-256. */
export function fingerprint (token: string | undefined): string | null {
  return token === undefined ? null : createHash('sha256').update(token).digest('hex').slice(0, 16)
}

export function createStats (): Stats {
  const calls = new Map<string, number>()
  const exchanges = new Map<string, Map<string, number>>()
  let log: Logged[] = []
  let sockets = new WeakSet<object>()
  let connections = 0

  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1)

  return {
    call: (label, entry) => {
      count(calls, calls.size < LABELS_KEPT || calls.has(label) ? label : 'other')
      log.push(entry)
      if (log.length >= 2 * LOG_KEPT) log = log.slice(-LOG_KEPT)
    },
    exchange: (grantType, outcome) => {
      const outcomes = exchanges.get(grantType) ?? new Map<string, number>()
      exchanges.set(grantType, outcomes)
      count(outcomes, outcome)
    },
    connection: (socket) => {
      if (sockets.has(socket)) return
      sockets.add(socket)
      connections++
    },
    read: () => ({
      calls: Object.fromEntries(calls),
      exchanges: Object.fromEntries([...exchanges].map(([type, outcomes]) => [type, Object.fromEntries(outcomes)])),
      connections,
      log: log.slice(-LOG_KEPT)
    }),
    clear: () => {
      calls.clear()
      exchanges.clear()
      log = []
      sockets = new WeakSet()
      connections = 0
    }
  }
}
