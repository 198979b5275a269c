import { isIPv6 } from 'node:net'
import type { Principal } from '../access/rules.ts'
import { hashSecret } from '../lib/secret.ts'

/**
 * The key under which a caller is counted: an API key, a user, a connect session, or the IP
 * address of an anonymous caller. Hashed, because it is stored and IP addresses are personal
 * data.
 */
export function deriveRateLimitKey(principal: Principal, address: string): string {
  if (principal.kind === 'anonymous') return deriveIpKey(address)
  return hashSecret(
    principal.kind === 'user' ? `user ${principal.userId}` : `${principal.kind} ${principal.id}`
  )
}

/**
 * The key under which logins are counted: the caller, or with an API key the user that it names.
 * Logins that an API key starts without naming a user are not counted (empty string).
 */
export function deriveLoginQuotaKey(
  principal: Principal,
  address: string,
  namedUser: string | undefined
): string {
  if (principal.kind !== 'key') return deriveRateLimitKey(principal, address)
  return namedUser === undefined ? '' : hashSecret(`key ${principal.id} for ${namedUser}`)
}

export function deriveIpKey(address: string): string {
  return hashSecret(`ip ${toIpPrefix(address)}`)
}

/** An IPv6 subscriber has a /64 network: it is one caller. IPv4-mapped IPv6 addresses count as IPv4. */
export function toIpPrefix(address: string): string {
  const [ip = ''] = address.toLowerCase().split('%')
  if (!ip.includes(':') || !isIPv6(ip)) return ip
  const mappedIpv4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(ip)?.[1]
  if (mappedIpv4 !== undefined) return mappedIpv4
  const [head = '', tail] = ip.split('::')
  const leadingGroups = head.split(':').filter(Boolean)
  const trailingGroups = (tail ?? '').split(':').filter(Boolean)
  const groups =
    tail === undefined
      ? leadingGroups
      : [
          ...leadingGroups,
          ...Array<string>(Math.max(0, 8 - leadingGroups.length - trailingGroups.length)).fill('0'),
          ...trailingGroups
        ]
  return groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')
}
