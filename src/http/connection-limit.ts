import type { Server } from 'node:net'
import { toIpPrefix } from './rate-limit-key.ts'

interface ConnectionLimitOptions {
  maxPerAddress: number
  /** Whether an address may have any number of connections, as proxies need. */
  isExempt: (address: string) => boolean
  onRefused: (address: string) => void
}

/** Closes the connections of one IP address (IPv6: one /64 network) beyond a maximum. */
export function limitConnections(
  server: Server,
  { maxPerAddress, isExempt, onRefused }: ConnectionLimitOptions
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
