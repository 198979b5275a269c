import type { Log } from '../http.ts'
import type { Store } from '../store/index.ts'
import { UnreadableError, type Vault } from '../vault/vault.ts'
import { markUnreadable } from './readable.ts'
import { openAll, sealAll } from './sealing.ts'

/** A transaction short enough that nobody who waits for it notices. */
const BATCH = 50

export interface RekeyProgress { resealed: number, left: number, unreadable: number }

/**
 * Seals every grant anew with the key that writes, in small batches, while the service runs. It holds nothing but the
 * batch it is at: interrupted anywhere it has done what it said, and goes on from there the next time. A grant that is
 * refreshed meanwhile is left as the refresh wrote it; one that does not open is marked, and stays.
 *
 * @param onProgress called after each batch
 */
export async function rekey (settings: { store: Store, vault: Vault }, log: Log, onProgress: (progress: RekeyProgress) => void = () => {}): Promise<RekeyProgress> {
  const { store: { grants }, vault } = settings
  let [resealed, unreadable] = [0, 0]
  const left = async () => [...await grants.perKey()].filter(([id]) => id !== vault.keyId).reduce((sum, [, count]) => sum + count, 0)

  /** From the first to the last of those that are left; refreshes that got in between are met in the next round. */
  async function round (): Promise<void> {
    for (let after = ''; ;) {
      const batch = await grants.sealedOtherwise(vault.keyId, after, BATCH)
      const last = batch.at(-1)
      if (last === undefined) return
      after = last.id
      const fresh = batch.flatMap((old) => {
        try {
          return [{ id: old.id, old, fresh: sealAll(vault, old.id, openAll(vault, old)) }]
        } catch (error) {
          if (error instanceof UnreadableError) return []
          throw error
        }
      })
      resealed += await grants.reseal(fresh)
      const readable = new Set(fresh.map(({ id }) => id))
      for (const grant of batch) if (!readable.has(grant.id) && await markUnreadable(grants, grant, log)) unreadable++
      onProgress({ resealed, left: await left(), unreadable })
    }
  }

  let before = Infinity
  for (let count = await left(); count > 0 && count < before; count = await left()) {
    before = count
    await round()
  }
  const uses = vault.takeUses()
  if (uses > 0) await settings.store.keys.addUses(vault.keyId, uses)
  return { resealed, left: await left(), unreadable }
}
