import { AsyncLocalStorage } from 'node:async_hooks'
import type { Principal } from '../access/rules.ts'

/** Who does something, and from where, as the audit trail keeps it. */
export interface Actor {
  kind: Principal['kind'] | 'operator' | 'service'
  /** Of the key, the user or the session. */
  id?: number
  /** Of the key, or of the operator's account on the machine. */
  name?: string
  ip?: string
  requestId?: string
}

/** What nobody has asked for: runs, refreshes, upkeep. */
export const SERVICE_ACTOR: Actor = { kind: 'service' }

const actorStorage = new AsyncLocalStorage<Actor>()

/** Does something in somebody's name: what it stores, also after waiting, is put down to them. */
export function runAsActor<T>(actor: Actor, work: () => T): T {
  return actorStorage.run(actor, work)
}

/** Whose doing what happens at this moment is. */
export function getCurrentActor(): Actor {
  return actorStorage.getStore() ?? SERVICE_ACTOR
}

/** A caller, as far as the trail needs to know them. */
export function actorFromPrincipal(
  principal: Principal,
  requestOrigin: { ip: string; requestId: string }
): Actor {
  return { ...identifyPrincipal(principal), ...requestOrigin }
}

/** Who starts something that another request will end, to be kept with it; empty where nobody is known. */
export function serializeInitiator(principal: Principal): string {
  return principal.kind === 'anybody' ? '' : JSON.stringify(identifyPrincipal(principal))
}

/** Does something in the name of who has started it, from where and in the request in which it is done. */
export function runAsInitiator<T>(serializedInitiator: string, work: () => T): T {
  return serializedInitiator === ''
    ? work()
    : runAsActor(
        { ...getCurrentActor(), ...(JSON.parse(serializedInitiator) as ActorIdentity) },
        work
      )
}

type ActorIdentity = Pick<Actor, 'kind' | 'id' | 'name'>

function identifyPrincipal(principal: Principal): ActorIdentity {
  switch (principal.kind) {
    case 'key':
      return { kind: 'key', id: principal.id, name: principal.name }
    case 'user':
      return { kind: 'user', id: principal.userId }
    case 'session':
      return { kind: 'session', id: principal.id }
    case 'anybody':
      return { kind: 'anybody' }
  }
}
