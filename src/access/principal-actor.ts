import type { Actor, ActorIdentity } from '../lib/actor.ts'
import type { Principal } from './rules.ts'

/** The actor of a request. */
export function actorFromPrincipal(
  principal: Principal,
  requestOrigin: { ip: string; requestId: string }
): Actor {
  return { ...identifyPrincipal(principal), ...requestOrigin }
}

/**
 * Serialises the principal that starts something which another request completes, to be stored with it
 * and passed to `runAsInitiator`.
 *
 * @returns an empty string for an anonymous principal
 */
export function serializeInitiator(principal: Principal): string {
  return principal.kind === 'anonymous' ? '' : JSON.stringify(identifyPrincipal(principal))
}

function identifyPrincipal(principal: Principal): ActorIdentity {
  switch (principal.kind) {
    case 'key':
      return { kind: 'key', id: principal.id, name: principal.name }
    case 'user':
      return { kind: 'user', id: principal.userId }
    case 'session':
      return { kind: 'session', id: principal.id }
    case 'anonymous':
      return { kind: 'anonymous' }
  }
}
