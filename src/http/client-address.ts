import { isIPv4 } from 'node:net'
import type { ClientAddressMode } from '../config/config.ts'
import { toIpPrefix } from './rate-limit-key.ts'

/**
 * The address as log lines show it: `network` leaves the part that identifies a subscriber out (IPv4: /24,
 * IPv6: /48).
 */
export function formatClientAddress(address: string, mode: ClientAddressMode): string | undefined {
  if (mode === 'none') return undefined
  if (mode === 'full') return address
  const prefix = toIpPrefix(address)
  return isIPv4(prefix)
    ? `${prefix.slice(0, prefix.lastIndexOf('.'))}.0/24`
    : `${prefix.split(':').slice(0, 3).join(':')}::/48`
}
