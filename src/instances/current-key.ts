import type { Store } from '../store/index.ts'
import type { LiveInstance } from '../store/repositories/instances.ts'
import { findCurrentKey, type RegisteredKey } from '../store/repositories/vault-keys.ts'
import type { Keyring } from '../vault/keyring.ts'

type VaultKeys = Pick<Store['vaultKeys'], 'list' | 'promote'>

/**
 * Lets the keyring encrypt with the key that the database says.
 *
 * @returns false if it says none
 */
export async function readCurrentKey(vaultKeys: VaultKeys, keyring: Keyring): Promise<boolean> {
  const current = findCurrentKey(await vaultKeys.list())
  if (current !== undefined) keyring.setCurrent(current.id)
  return current !== undefined
}

/** As `readCurrentKey`; if the database says none, the first key of the settings becomes it. */
export async function adoptCurrentKey(vaultKeys: VaultKeys, keyring: Keyring): Promise<void> {
  if (await readCurrentKey(vaultKeys, keyring)) return
  const [firstId = ''] = keyring.ids
  await vaultKeys.promote(firstId, 'order')
  if (!(await readCurrentKey(vaultKeys, keyring))) keyring.setCurrent(firstId)
}

/** Why the first key of the settings does not encrypt. */
export interface DeferredPromotion {
  keyId: string
  /** Live instances that lack it. */
  lackedBy: LiveInstance[]
}

/**
 * Promotes the first key of the settings if it is new and every live instance can read it: whoever
 * puts a new key in front of the others needs no command.
 *
 * @param live the other live instances
 * @returns what prevents it; undefined if the first key encrypts, or should not
 */
export async function promoteFirstKey(
  vaultKeys: VaultKeys,
  keyring: Keyring,
  keys: readonly RegisteredKey[],
  live: readonly LiveInstance[]
): Promise<DeferredPromotion | undefined> {
  const [firstId = ''] = keyring.ids
  const current = findCurrentKey(keys)
  const first = keys.find(({ id }) => id === firstId)
  if (first === undefined || current?.id === firstId) return undefined
  // The order says nothing after a promotion by command; and of keys that encrypted before, only a
  // change of the order that every instance has seen is a wish.
  const isOrderDecisive = current?.promotedBy !== 'command' || !keys.some(({ isUsed }) => isUsed)
  const isWished =
    isOrderDecisive &&
    (first.promotion === null || live.every(({ keyIds }) => keyIds[0] === firstId))
  if (!isWished) return undefined
  const lackedBy = live.filter(({ keyIds }) => !keyIds.includes(firstId))
  if (lackedBy.length > 0) return { keyId: firstId, lackedBy }
  await vaultKeys.promote(firstId, 'order')
  return undefined
}
