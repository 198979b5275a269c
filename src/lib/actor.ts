import { AsyncLocalStorage } from 'node:async_hooks'

/** Who performs an action, and from where, as the audit trail stores it. */
export interface Actor {
  kind: 'key' | 'user' | 'session' | 'anonymous' | 'operator' | 'service'
  /** Id of the key, the user or the session. */
  id?: number
  /** Name of the key, or of the operator's account on the machine. */
  name?: string
  ip?: string
  requestId?: string
  /** Called after each audit entry of this actor is stored, with the number of entries so far. */
  onAudited?: (count: number) => void
}

/** The actor of background jobs: sync runs, token refreshes, maintenance. */
export const SERVICE_ACTOR: Actor = { kind: 'service' }

const actorStorage = new AsyncLocalStorage<Actor | (() => Actor)>()

/**
 * Runs `work` as `actor`: the audit trail attributes to it all that `work` stores, also after `await`.
 *
 * @param actor or a function that describes it: most requests change nothing, so nobody asks
 */
export function runAsActor<T>(actor: Actor | (() => Actor), work: () => T): T {
  return actorStorage.run(actor, work)
}

/** The actor of the running code; the service itself outside `runAsActor`. */
export function getCurrentActor(): Actor {
  const actor = actorStorage.getStore() ?? SERVICE_ACTOR
  return typeof actor === 'function' ? actor() : actor
}

/** Runs `work` as the principal that started it, with the IP address and request id of the current actor. */
export function runAsInitiator<T>(serializedInitiator: string, work: () => T): T {
  return serializedInitiator === ''
    ? work()
    : runAsActor(
        { ...getCurrentActor(), ...(JSON.parse(serializedInitiator) as ActorIdentity) },
        work
      )
}

/** What identifies an actor, without the place that the request came from. */
export type ActorIdentity = Pick<Actor, 'kind' | 'id' | 'name'>
