import { userInfo } from 'node:os'
import type { Actor } from '../lib/actor.ts'

/** Who runs a command on this machine, by the name of their account where it has one. */
export function getOperatorActor(): Actor {
  try {
    return { kind: 'operator', name: userInfo().username }
  } catch {
    return { kind: 'operator' }
  }
}
