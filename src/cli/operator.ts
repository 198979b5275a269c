import { userInfo } from 'node:os'
import { EXIT_CODES } from './exit.ts'
import type { Config } from '../config/config.ts'
import { loadStoreSettings } from '../config/load.ts'
import { signExistingRows } from '../grants/sign-existing-rows.ts'
import { verifyKeyring } from '../grants/verify-keys.ts'
import type { Actor } from '../lib/actor.ts'
import { StartError } from '../lib/errors.ts'
import { createLogger } from '../lib/logger.ts'
import { openEngine } from '../store/open-engine.ts'
import { createStore, type Store } from '../store/index.ts'
import { createSigner } from '../vault/signer.ts'
import type { LoadedKeys } from '../vault/source.ts'
import type { Vault } from '../vault/vault.ts'

/** What a command needs to open a database and to sign what it writes there. */
export type StoreSettings = Pick<Config, 'databaseUrl' | 'database'> & { keys: LoadedKeys }

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
  { databaseUrl, database, keys }: StoreSettings,
  command: (store: Store) => Promise<Result>
): Promise<Result> {
  const engine = await openEngine(databaseUrl, database)
  try {
    return await command(
      createStore(engine, Date.now, createSigner(keys.keyring), getOperatorActor)
    )
  } finally {
    await engine.close()
  }
}

/**
 * As `withStore`, for a command that writes or verifies audit entries: verifies the keys first, as
 * the service does when it starts.
 *
 * @throws StartError if a key is wrong, or missing and still in use
 */
export async function withVault<Result>(
  settings: StoreSettings,
  command: (store: Store, vault: Vault) => Promise<Result>
): Promise<Result> {
  const { keyring, source } = settings.keys
  return await withStore(settings, async (store) => {
    const knownIds = (await store.vaultKeys.list()).map(({ id }) => id)
    if (knownIds.length > 0 && !keyring.ids.some((id) => knownIds.includes(id))) {
      throw new StartError(
        [
          `${source}: the service that uses this database has other keys (${knownIds.join(', ')}). ` +
            'Run this command with the same keys.'
        ],
        EXIT_CODES.configuration
      )
    }
    const vault = await verifyKeyring({ store, source }, keyring)
    await signExistingRows({ store, vault }, createStderrLogger())
    return await command(store, vault)
  })
}

/** As `withVault`, with the settings of the service. */
export async function runWithStore<Result>(
  command: (store: Store) => Promise<Result>
): Promise<Result> {
  return await withVault(await loadStoreSettings(process.env), command)
}

/** A logger for what a command shares with the service; its result goes to the standard output. */
export function createStderrLogger() {
  return createLogger({
    write: (line) => {
      process.stderr.write(line)
    }
  }).logger
}
