import { isIPv6 } from 'node:net'
import type { Principal } from '../access/rules.ts'
import { hashSecret } from '../lib/secret.ts'

/**
 * Who is counted as one: a key, a person, a connect session; the address where nobody is known. Hashed, because it is kept
 * and addresses are personal.
 */
export function deriveRateLimitKey(principal: Principal, address: string): string {
  if (principal.kind === 'anonymous') return deriveIpKey(address)
  return hashSecret(
    principal.kind === 'user' ? `user ${principal.userId}` : `${principal.kind} ${principal.id}`
  )
}

/**
 * Whose logins are counted together: the person's, where it is known who it is for, else the address's. A key starts logins for
 * many; where it names nobody they are not counted (empty).
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

/** One subscriber has 2^64 addresses of IPv6: its network counts as one. IPv4 inside IPv6 is IPv4. */
function toIpPrefix(address: string): string {
  const [ip = ''] = address.toLowerCase().split('%')
  if (!isIPv6(ip)) return ip
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
