import { EXIT_CODES } from './exit.ts'
import { withStore } from './operator.ts'
import { loadSettings } from '../config/load.ts'
import {
  registerKeys,
  verifyKeyring,
  type VerificationSettings,
  type VerifiedVault
} from '../grants/verify-keys.ts'
import { StartError } from '../lib/errors.ts'
import { formatNumber } from '../lib/formats.ts'
import type { Store } from '../store/index.ts'
import { LIVE_MS, type LiveInstance } from '../store/repositories/instances.ts'
import { findCurrentKey } from '../store/repositories/vault-keys.ts'
import type { Keyring } from '../vault/keyring.ts'
import type { LoadedKeys } from '../vault/source.ts'

/** Where the procedure is described. */
export const ROTATION_PAGE = 'docs/operations/rotate-a-key.md'

/** Runs a command with the database and the configured keys. */
export async function runWithKeys<Result>(
  command: (store: Store, keys: LoadedKeys) => Promise<Result>
): Promise<Result> {
  const { config, keys } = await loadSettings(process.env)
  return await withStore({ ...config, keys }, async (store) => await command(store, keys))
}

/** Ends a command that would do harm now; nothing has been changed. */
export function refuse(...sentences: string[]): never {
  throw new StartError(sentences, EXIT_CODES.failure)
}

/** Names an instance, so that an operator finds it. */
export function describeInstance({ id, host, pid }: LiveInstance): string {
  return `${id} (host ${host}, pid ${pid})`
}

/**
 * Refuses while a live instance lacks a key.
 *
 * @throws StartError that names each of them
 */
export function refuseIfLacked(keyId: string, live: readonly LiveInstance[]): void {
  const lackedBy = live.filter(({ keyIds }) => !keyIds.includes(keyId))
  if (lackedBy.length === 0) return
  refuse(
    ...lackedBy.map(
      (instance) => `The live instance ${describeInstance(instance)} lacks the key "${keyId}".`
    ),
    'Give it the key, restart it or send it SIGHUP, and run this command again. ' +
      `An instance that has died counts as live for ${LIVE_MS / 1000} s. Nothing was changed.`
  )
}

/**
 * Makes a key of the keyring the one that encrypts, registers it where it is new, and records that.
 *
 * @returns the key that encrypted before; null: none
 * @throws StartError while a live instance lacks the key, or if the keys do not fit the database
 */
export async function promoteForAll(
  settings: VerificationSettings & { store: Store },
  keyring: Keyring,
  id: string
): Promise<{ vault: VerifiedVault; previous: string | null }> {
  const { store } = settings
  await registerKeys(settings, keyring)
  const previous = findCurrentKey(await store.vaultKeys.list())?.id ?? null
  refuseIfLacked(id, await store.instances.listLive())
  if (!(await store.vaultKeys.promote(id, 'command'))) {
    // An instance has started since they were listed.
    refuseIfLacked(id, await store.instances.listLive())
  }
  const vault = await verifyKeyring(settings, keyring)
  if (vault.keyId !== id) refuse(`The key "${id}" could not be promoted. Try again.`)
  if (previous !== id) {
    await store.audit.append({ action: 'vault_key_promoted', detail: { key: id, previous } })
  }
  return { vault, previous }
}

export function formatGrantCount(grants: number): string {
  return grants === 1 ? '1 grant' : `${formatNumber(grants)} grants`
}
