import type { Log } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import type { Sealed, SealedRow } from '../store/repositories/sealed-tokens.ts'
import { UnreadableError, type Vault } from '../vault/vault.ts'
import { markUnreadable, openReadable } from './decrypt.ts'
import { openAll, sealAll } from './encrypt.ts'

const told = ({ accessToken, refreshToken, previousRefreshToken }: Sealed) =>
  JSON.stringify([accessToken, refreshToken, previousRefreshToken])

/** A transaction short enough that nobody who waits for it notices. */
const BATCH = 50

export interface RekeyProgress {
  resealed: number
  left: number
  unreadable: number
}

/**
 * Seals every grant anew with the key that writes, in small batches, while the service runs. It holds nothing but the
 * batch it is at: interrupted anywhere it has done what it said, and goes on from there the next time. A grant that is
 * refreshed meanwhile is left as the refresh wrote it; one that does not open is marked as
 * damaged, and stays. All keys that are needed have to be there (`proveKeys`).
 *
 * @param onProgress called after each batch
 */
export async function rekey(
  settings: { store: Store; vault: Vault },
  log: Log,
  onProgress: (progress: RekeyProgress) => void = () => {}
): Promise<RekeyProgress> {
  const { store, vault } = settings
  const { sealed } = store
  let [resealed, unreadable] = [0, 0]
  const left = async () =>
    [...(await sealed.perKey())]
      .filter(([id]) => id !== vault.keyId)
      .reduce((sum, [, count]) => sum + count, 0)

  /** From the first to the last of those that are left; refreshes that got in between are met in the next round. */
  async function round(): Promise<void> {
    for (let after = ''; ;) {
      const batch = await sealed.otherwise(vault.keyId, after, BATCH)
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
      resealed += await sealed.replace(fresh)
      const readable = new Set(fresh.map(({ id }) => id))
      for (const row of batch) {
        if (!readable.has(row.id) || row.errorCode === 'tokens_undecryptable') {
          await look(row, readable.has(row.id))
        }
      }
      onProgress({ resealed, left: await left(), unreadable })
    }
  }

  /** A grant that opens is no longer what it was marked as; one that does not, with all keys there, is damaged. */
  async function look(row: SealedRow, opens: boolean): Promise<void> {
    const grant = await store.grants.get(row.id)
    if (grant === undefined) return
    if (opens) await openReadable(settings, grant, log, openAll)
    // What came meanwhile is another one.
    if (opens || told(grant) !== told(row)) return
    await markUnreadable(store.grants, grant, log)
    await sealed.markDamaged(grant)
    unreadable++
  }

  let before = Infinity
  for (let count = await left(); count > 0 && count < before; count = await left()) {
    before = count
    await round()
  }
  await store.keys.addUses(vault.keyId, vault.uses())
  return { resealed, left: await left(), unreadable }
}
