import { isIPv6 } from 'node:net'
import type { Principal } from '../access/rules.ts'
import { hashOf } from '../access/secrets.ts'

/**
 * Who is counted as one: a key, a person, a connect session; the address where nobody is known. Hashed, because it is kept
 * and addresses are personal.
 */
export function callerOf(principal: Principal, address: string): string {
  if (principal.kind === 'anybody') return addressBucket(address)
  return hashOf(
    principal.kind === 'user' ? `user ${principal.userId}` : `${principal.kind} ${principal.id}`
  )
}

/**
 * Whose logins are counted together: the person's, where it is known who it is for, else the address's. A key starts logins for
 * many; where it names nobody they are not counted (empty).
 */
export function openerOf(principal: Principal, address: string, named: string | undefined): string {
  if (principal.kind !== 'key') return callerOf(principal, address)
  return named === undefined ? '' : hashOf(`key ${principal.id} for ${named}`)
}

export function addressBucket(address: string): string {
  return hashOf(`ip ${network(address)}`)
}

/** One subscriber has 2^64 addresses of IPv6: its network counts as one. IPv4 inside IPv6 is IPv4. */
function network(address: string): string {
  const [bare = ''] = address.toLowerCase().split('%')
  if (!isIPv6(bare)) return bare
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = bare.split('::')
  const before = head.split(':').filter(Boolean)
  const after = (tail ?? '').split(':').filter(Boolean)
  const groups =
    tail === undefined
      ? before
      : [
          ...before,
          ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0'),
          ...after
        ]
  return groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')
}
