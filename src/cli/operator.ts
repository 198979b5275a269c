import { userInfo } from 'node:os'
import type { Config } from '../config/config.ts'
import type { Actor } from '../lib/actor.ts'
import { openEngine } from '../store/open-engine.ts'
import { createStore, type Store } from '../store/index.ts'

/** The operator who runs the command. A user id without an account entry, as in containers, has no name. */
function getOperatorActor(): Actor {
  try {
    return { kind: 'operator', name: userInfo().username }
  } catch {
    return { kind: 'operator' }
  }
}

/** Opens the database for a command. The audit trail names the operator as the actor. */
export async function withStore<Result>(
  { databaseUrl, database }: Pick<Config, 'databaseUrl' | 'database'>,
  command: (store: Store) => Promise<Result>
): Promise<Result> {
  const engine = await openEngine(databaseUrl, database)
  try {
    return await command(createStore(engine, Date.now, getOperatorActor))
  } finally {
    await engine.close()
  }
}
