import type { Server, Socket } from 'node:net'
import { toIpPrefix } from './rate-limit-key.ts'

/** Connections beyond the limit that are accepted for one request each. */
const RESERVE_CONNECTIONS = 16
/** Time in which a connection of the reserve must send its request and get the response. */
const RESERVE_TIMEOUT_MS = 5_000
/** A younger connection is about to send its request. */
const MIN_IDLE_AGE_MS = 1_000
/** Connections that are looked at to find an idle one. */
const MAX_EXAMINED = 64

/** Descriptors of the program itself: database files, event loop, timers, log (30 in use). */
const OWN_DESCRIPTORS = 48
/** Connections to Atlassian that must stay possible. */
const OUTGOING_DESCRIPTORS = 48
const MIN_CONNECTIONS = 16
/** An idle connection costs about 20 KiB. */
const MAX_CONNECTIONS = 20_000

/**
 * The number of connections that a limit of open files allows: the rest stays free for the database,
 * for calls to Atlassian and for the reserve.
 *
 * @param openFilesLimit undefined: no limit
 */
export function toMaxConnections(openFilesLimit: number | undefined, poolSize: number): number {
  const kept = OWN_DESCRIPTORS + OUTGOING_DESCRIPTORS + 2 * RESERVE_CONNECTIONS + poolSize
  const available = (openFilesLimit ?? Infinity) - kept
  return Math.max(MIN_CONNECTIONS, Math.min(MAX_CONNECTIONS, available))
}

interface ConnectionLimitOptions {
  max: number
  /** Whether a connection has no request in progress. */
  isIdle: (socket: Socket) => boolean
  /** Called for each connection beyond the maximum: an idle one or it is closed, or it gets one request. */
  onFull: (action: 'idle_closed' | 'one_request' | 'closed') => void
}

/** The connections of a server, at most a maximum and a small reserve. */
export interface ConnectionLimit {
  /** Whether a connection is beyond the maximum: it gets one response. */
  isInReserve: (socket: Socket) => boolean
  /** Closes the connections that have no request in progress. */
  closeIdle: () => void
}

/**
 * Bounds the connections of a server. Beyond the maximum a new one closes an idle one. If there is
 * none it belongs to the reserve, so that health checks are answered while all others are busy.
 */
export function limitConnections(
  server: Server,
  { max, isIdle, onFull }: ConnectionLimitOptions
): ConnectionLimit {
  /** When each connection was accepted; in the order in which they are examined. */
  const acceptedAt = new Map<Socket, number>()
  const reserve = new Set<Socket>()
  // Node closes further ones before anything here can make room.
  server.maxConnections = max + 2 * RESERVE_CONNECTIONS
  server.on('connection', (socket) => {
    if (socket.destroyed) return
    if (acceptedAt.size >= max) {
      if (!closeOneIdle()) {
        addToReserve(socket)
        return
      }
      onFull('idle_closed')
    }
    acceptedAt.set(socket, performance.now())
    socket.once('close', () => acceptedAt.delete(socket))
  })
  return {
    isInReserve: (socket) => reserve.has(socket),
    closeIdle() {
      for (const [socket, since] of acceptedAt) if (canClose(socket, since)) socket.destroy()
    }
  }

  function addToReserve(socket: Socket): void {
    if (reserve.size >= RESERVE_CONNECTIONS) {
      socket.destroy()
      onFull('closed')
      return
    }
    onFull('one_request')
    reserve.add(socket)
    const timer = setTimeout(() => socket.destroy(), RESERVE_TIMEOUT_MS).unref()
    socket.once('close', () => {
      clearTimeout(timer)
      reserve.delete(socket)
    })
  }

  function canClose(socket: Socket, since: number): boolean {
    return performance.now() - since > MIN_IDLE_AGE_MS && isIdle(socket)
  }

  /** Busy connections move to the end, so that each is examined in its turn. */
  function closeOneIdle(): boolean {
    let examined = 0
    for (const [socket, since] of acceptedAt) {
      if (++examined > MAX_EXAMINED) return false
      acceptedAt.delete(socket)
      if (canClose(socket, since)) {
        socket.destroy()
        return true
      }
      acceptedAt.set(socket, since)
    }
    return false
  }
}

interface AddressLimitOptions {
  maxPerAddress: number
  /** Whether an address may have any number of connections, as proxies need. */
  isExempt: (address: string) => boolean
  onRefused: (address: string) => void
}

/** Closes the connections of one IP address (IPv6: one /64 network) beyond a maximum. */
export function limitConnectionsPerAddress(
  server: Server,
  { maxPerAddress, isExempt, onRefused }: AddressLimitOptions
): void {
  const counts = new Map<string, number>()
  server.on('connection', (socket) => {
    const { remoteAddress } = socket
    if (remoteAddress === undefined || isExempt(remoteAddress)) return
    const address = toIpPrefix(remoteAddress)
    const count = counts.get(address) ?? 0
    if (count >= maxPerAddress) {
      socket.destroy()
      onRefused(address)
      return
    }
    counts.set(address, count + 1)
    socket.once('close', () => {
      const remaining = (counts.get(address) ?? 1) - 1
      if (remaining === 0) counts.delete(address)
      else counts.set(address, remaining)
    })
  })
}
