import type { Logger } from '../lib/http-client.ts'
import { createIntervalJob } from '../lib/interval.ts'
import type { Store } from '../store/index.ts'
import { LIVE_MS, type Instance, type LiveInstance } from '../store/repositories/instances.ts'
import type { RegisteredKey } from '../store/repositories/vault-keys.ts'
import type { Keyring } from '../vault/keyring.ts'
import {
  adoptCurrentKey,
  promoteFirstKey,
  readCurrentKey,
  type DeferredPromotion
} from './current-key.ts'

const HEARTBEAT_INTERVAL_MS = 5_000
/** Signatures have no index by key, so they are counted this often at most. */
const SIGNATURE_CHECK_INTERVAL_MS = 60_000

export interface HeartbeatSettings {
  store: Pick<Store, 'instances' | 'vaultKeys' | 'connectionSignatures'>
  keyring: Keyring
  /** This process. */
  instance: Pick<Instance, 'id' | 'host' | 'pid' | 'version'>
  log: Logger
}

/**
 * The heartbeat of this instance: says that it is live and which vault keys it can read, and learns
 * which key encrypts and which keys it lacks. What depends on the keys asks here and not the
 * database, so that a check of health costs nothing.
 */
export function createHeartbeat({ store, keyring, instance, log }: HeartbeatSettings) {
  const { instances, vaultKeys, connectionSignatures } = store
  let missingIds: string[] = []
  /** Keys that signed connections need, with the time of the latest count. */
  const signatureKeys = new Map<string, number>()
  let hasBeaten = false
  let lastBeatAt = -Infinity
  let deferredKeyId: string | undefined
  let pendingBeat: Promise<void> | undefined

  const writeBeat = async () => {
    const { ids, currentId, find } = keyring
    const currentKeyId = find(currentId) === undefined ? null : currentId
    await instances.beat({ ...instance, keyIds: [...ids], currentKeyId })
  }

  async function beat(): Promise<void> {
    // The order of the settings says nothing about the current key: others believe this row.
    if (!hasBeaten) await readCurrentKey(vaultKeys, keyring)
    await writeBeat()
    const [keys, live] = await Promise.all([
      vaultKeys.listWithUse(),
      instances.listLive(instance.id)
    ])
    logDeferral(await promoteFirstKey(vaultKeys, keyring, keys, live))
    const formerId = keyring.currentId
    await adoptCurrentKey(vaultKeys, keyring)
    updateMissing(await findMissing(keys, live))
    if (keyring.currentId !== formerId) {
      log.info(
        { event: 'vault_key_current', key_id: keyring.currentId, previous_key_id: formerId },
        'Another vault key encrypts from now on.'
      )
      await writeBeat()
    }
    hasBeaten = true
    lastBeatAt = performance.now()
  }

  /** What a grant, a signature or another instance needs, and this keyring lacks. */
  async function findMissing(
    keys: readonly RegisteredKey[],
    live: readonly LiveInstance[]
  ): Promise<string[]> {
    const neededIds = new Set([
      keyring.currentId,
      ...keys.filter(({ isUsed }) => isUsed).map(({ id }) => id),
      ...live.flatMap(({ currentKeyId }) => currentKeyId ?? [])
    ])
    for (const id of missingIds) if (!signatureKeys.has(id)) signatureKeys.set(id, -Infinity)
    for (const [id, checkedAt] of signatureKeys) {
      if (keyring.find(id) !== undefined) signatureKeys.delete(id)
      else if (neededIds.has(id) || performance.now() - checkedAt < SIGNATURE_CHECK_INTERVAL_MS) {
        neededIds.add(id)
      } else if ((await connectionSignatures.countSignedWith(id)) === 0) signatureKeys.delete(id)
      else {
        signatureKeys.set(id, performance.now())
        neededIds.add(id)
      }
    }
    return [...neededIds].filter((id) => keyring.find(id) === undefined).sort()
  }

  function updateMissing(ids: string[]): void {
    if (ids.join() === missingIds.join()) return
    missingIds = ids
    if (ids.length === 0) {
      log.info({ event: 'vault_keys_complete', key_ids: keyring.ids }, 'No vault key is missing.')
    } else {
      log.error(
        { event: 'vault_key_missing', missing_key_ids: ids, key_ids: keyring.ids },
        `This instance lacks vault keys (${ids.join(', ')}) and is not ready. Add them to its VAULT_KEYS ` +
          'or VAULT_KEYS_FILE. What needs them answers 503 and is not changed.'
      )
    }
  }

  function logDeferral(deferred: DeferredPromotion | undefined): void {
    if (deferred?.keyId === deferredKeyId) return
    deferredKeyId = deferred?.keyId
    if (deferred === undefined) return
    log.warn(
      {
        event: 'vault_key_promotion_deferred',
        key_id: deferred.keyId,
        instances: deferred.lackedBy.map(({ id }) => id)
      },
      'The first vault key does not encrypt yet, because another live instance lacks it.'
    )
  }

  const beatOnce = async () => {
    pendingBeat ??= beat().finally(() => {
      pendingBeat = undefined
    })
    await pendingBeat
  }

  const intervalJob = createIntervalJob(async () => {
    // An outage is logged by the database; after it, the next heartbeat says that this one is live.
    await beatOnce().catch((err: unknown) => {
      log.debug({ event: 'heartbeat_error', err }, 'The heartbeat could not be written.')
    })
  }, HEARTBEAT_INTERVAL_MS)

  return {
    /** Writes the heartbeat now, or joins one that is under way, and learns what changed. */
    beat: beatOnce,

    /** The same after the keyring changed: a heartbeat that is under way may have the former keys. */
    async beatWithNewKeys(): Promise<void> {
      await pendingBeat?.catch(() => {})
      await beatOnce()
    },
    start: intervalJob.start,

    /** Ends the heartbeat, and with it this instance's row. */
    async stop(): Promise<void> {
      await intervalJob.stop()
      await instances.remove(instance.id).catch((err: unknown) => {
        log.debug(
          { event: 'heartbeat_error', err },
          'The row of this instance could not be removed.'
        )
      })
    },

    /** Remembers keys that stored rows need and this instance lacks. */
    addMissing(ids: readonly string[]): void {
      updateMissing([...new Set([...missingIds, ...ids])].sort())
    },

    /** The keys that this instance should have and lacks. */
    getMissingKeyIds: (): readonly string[] => missingIds,

    /** Whether this instance can encrypt and sign nothing, because it lacks the current key. */
    lacksCurrentKey: () => keyring.find(keyring.currentId) === undefined,

    /**
     * Writes the heartbeat if the last one is old, as after this process stood still: meanwhile
     * another key may have become the current one, and this one may be gone everywhere else.
     */
    async confirmCurrentKey(): Promise<void> {
      if (performance.now() - lastBeatAt > LIVE_MS / 2) await beatOnce()
    }
  }
}

export type Heartbeat = ReturnType<typeof createHeartbeat>

/** What background work asks about the keys: grants of missing keys are left to other instances. */
export type KeyAvailability = Pick<Heartbeat, 'getMissingKeyIds' | 'lacksCurrentKey'>
