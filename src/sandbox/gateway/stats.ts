import { createHash } from 'node:crypto'

const MAX_LABELS = 500
const POSITION_PARAMS = ['cursor', 'startAt', 'nextPageToken']
/** Shorter than any token of the sandbox, and without the dots of a JWT. */
const SAFE_TEXT = /^[\w+/=-]{1,160}$/

/** Where in a list a call continues, if it says so; empty for a first page. */
export interface ListPosition {
  cursor?: string
  startAt?: string
  nextPageToken?: string
}

/** A logged call. It contains a hash of the token, never the token. */
export interface CallLogEntry extends ListPosition {
  at: number
  method: string
  path: string
  status: number
  token: string | null
}

export interface SandboxStats {
  recordCall: (label: string, entry: CallLogEntry) => void
  recordExchange: (grantType: string, outcome: string) => void
  /** Counts a connection once, however many calls use it. */
  recordConnection: (socket: object) => void
  snapshot: () => {
    calls: Record<string, number>
    exchanges: Record<string, Record<string, number>>
    connections: number
    log: CallLogEntry[]
  }
  clear: () => void
}

/** Returns the first 16 hex digits of the SHA-256. */
export function fingerprint(token: string | undefined): string | null {
  return token === undefined ? null : createHash('sha256').update(token).digest('hex').slice(0, 16)
}

/**
 * The list position in a query or a search body. Short texts are logged; longer ones only as a
 * fingerprint, because a caller may have put a secret there.
 */
export function parseListPosition(fields: unknown): ListPosition {
  const positions = Object.entries(fields ?? {}).filter(
    ([name, value]) => POSITION_PARAMS.includes(name) && value !== null
  )
  return Object.fromEntries(positions.map(([name, value]) => [name, redactPosition(String(value))]))
}

function redactPosition(text: string): string {
  return SAFE_TEXT.test(text) ? text : `#${fingerprint(text)}`
}

/** @param maxLogEntries maximum number of calls in the log */
export function createSandboxStats(maxLogEntries: number): SandboxStats {
  const calls = new Map<string, number>()
  const exchanges = new Map<string, Map<string, number>>()
  let log: CallLogEntry[] = []
  let sockets = new WeakSet<object>()
  let connections = 0

  const latestEntries = () => log.slice(Math.max(0, log.length - maxLogEntries))
  const increment = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1)

  return {
    recordCall: (label, entry) => {
      increment(calls, calls.size < MAX_LABELS || calls.has(label) ? label : 'other')
      log.push(entry)
      if (log.length >= 2 * maxLogEntries) log = latestEntries()
    },
    recordExchange: (grantType, outcome) => {
      const outcomes = exchanges.get(grantType) ?? new Map<string, number>()
      exchanges.set(grantType, outcomes)
      increment(outcomes, outcome)
    },
    recordConnection: (socket) => {
      if (sockets.has(socket)) return
      sockets.add(socket)
      connections++
    },
    snapshot: () => ({
      calls: Object.fromEntries(calls),
      exchanges: Object.fromEntries(
        [...exchanges].map(([type, outcomes]) => [type, Object.fromEntries(outcomes)])
      ),
      connections,
      log: latestEntries()
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
