import { createHash } from 'node:crypto'

const LABELS_KEPT = 500
const PLACES = ['cursor', 'startAt', 'nextPageToken']
/** Shorter than any token here, and no JWT, which has dots. */
const SAFE = /^[\w+/=-]{1,160}$/

/** Where in a list a call read on, as far as it said; nothing on a first page. */
export interface Place {
  cursor?: string
  startAt?: string
  nextPageToken?: string
}

/** One call as it is remembered: never its token, only a hash that tells tokens apart. */
export interface Logged extends Place {
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
  read: () => {
    calls: Record<string, number>
    exchanges: Record<string, Record<string, number>>
    connections: number
    log: Logged[]
  }
  clear: () => void
}

/** First 16 hex digits of SHA-256. */
export function fingerprint(token: string | undefined): string | null {
  return token === undefined ? null : createHash('sha256').update(token).digest('hex').slice(0, 16)
}

/**
 * The place that a query or a search names. Short texts are kept as they are; of anything else only the fingerprint, since a
 * stranger may have written a secret there.
 */
export function readPlace(fields: unknown): Place {
  const given = Object.entries(fields ?? {}).filter(
    ([name, value]) => PLACES.includes(name) && value !== null
  )
  return Object.fromEntries(given.map(([name, value]) => [name, safe(String(value))]))
}

function safe(text: string): string {
  return SAFE.test(text) ? text : `#${fingerprint(text)}`
}

/** @param logKept how many calls the log remembers */
export function createStats(logKept: number): Stats {
  const calls = new Map<string, number>()
  const exchanges = new Map<string, Map<string, number>>()
  let log: Logged[] = []
  let sockets = new WeakSet<object>()
  let connections = 0

  const latest = () => log.slice(Math.max(0, log.length - logKept))
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1)

  return {
    call: (label, entry) => {
      count(calls, calls.size < LABELS_KEPT || calls.has(label) ? label : 'other')
      log.push(entry)
      if (log.length >= 2 * logKept) log = latest()
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
      exchanges: Object.fromEntries(
        [...exchanges].map(([type, outcomes]) => [type, Object.fromEntries(outcomes)])
      ),
      connections,
      log: latest()
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
