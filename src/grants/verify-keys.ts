import { adoptCurrentKey } from '../instances/current-key.ts'
import { StartError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import { findCurrentKey, type VaultKeyRow } from '../store/repositories/vault-keys.ts'
import { withCurrentKey, type Keyring } from '../vault/keyring.ts'
import { createVault, MAX_KEY_USES, type Vault } from '../vault/vault.ts'
import { decryptAccessToken } from './encrypt.ts'
import { archiveSigningKeys } from './signing-keys.ts'

const KNOWN_PLAINTEXT = 'the right key'
/**
 * A database without key proofs (made by an early version) is verified by decrypting samples of
 * its tokens; one success is enough.
 */
const MAX_SAMPLES = 5
const CONFIGURATION_EXIT_CODE = 78
const PROOF_INTERVAL_MS = 1_000

/** A vault whose keys are those that the database was written with. */
export interface VerifiedVault extends Vault {
  /** Whether the current key still opens its stored proof. Costs no use of the key. */
  opensProof: () => boolean
}

export interface VerificationSettings {
  store: Pick<Store, 'vaultKeys' | 'encryptedTokens' | 'connectionSignatures' | 'audit'>
  /** How the operator supplied the keys, for error messages. */
  source: string
  /**
   * Accepts that a key is missing as long as another one fits: a service starts without being
   * ready. A command must not.
   */
  mayLackKeys?: boolean
  /** Keys that must not be missing if anything needs them. */
  requiredIds?: readonly string[]
  /** A lost key that the operator gives up: no other key has to fit. */
  givenUpId?: string
  log?: Logger
}

export interface VerificationHooks {
  /** Receives the number of uses of the current key, by all processes. */
  onUsesCounted?: (uses: number) => void
  /** Asks the database which key encrypts, if that was long ago. */
  confirmCurrentKey?: () => Promise<void>
  /** Sets the current key of the keyring, once the keys are registered; default: the database's. */
  chooseCurrentKey?: (missingKeyIds: readonly string[]) => Promise<void>
}

/** The additional authenticated data of a key's proof. */
const buildProofAad = (id: string) => `vault_keys/${id}/proof`

/**
 * Verifies every key before anything is decrypted or encrypted, and registers new keys in the
 * database. Nothing is written if a key is wrong.
 *
 * @returns the ids of the keys that stored rows need and the keyring lacks
 * @throws StartError with one sentence per key and the number of rows that need it, or for a key that
 *   has reached its limit; exit code 78
 */
export async function registerKeys(
  { store, source, mayLackKeys = false, requiredIds = [], givenUpId, log }: VerificationSettings,
  keyring: Keyring
): Promise<string[]> {
  const { vaultKeys, encryptedTokens, connectionSignatures } = store
  const [storedKeys, grantCounts, connectionCounts] = await Promise.all([
    vaultKeys.list(),
    encryptedTokens.countByKey(),
    connectionSignatures.countByKey()
  ])
  const neededIds = new Set([...grantCounts.keys(), ...connectionCounts.keys()])
  const lostIds = requiredIds.filter((id) => keyring.find(id) === undefined && neededIds.has(id))
  const describeDependents = (id: string) =>
    describeRows(grantCounts.get(id) ?? 0, connectionCounts.get(id) ?? 0)
  const findStored = (id: string) => storedKeys.find((row) => row.id === id)
  const vault = createVault(keyring)

  const wrongIds: string[] = []
  for (const id of keyring.ids) {
    const proof = findStored(id)?.proof
    const isValid =
      proof === undefined
        ? await canDecryptSamples(vault, encryptedTokens, id)
        : canDecrypt(() => vault.decrypt(proof, buildProofAad(id)))
    if (!isValid) wrongIds.push(id)
  }
  const missingIds = [...neededIds].filter((id) => keyring.find(id) === undefined)
  const hasFittingKey = keyring.ids.some(
    (id) => !wrongIds.includes(id) && (findStored(id) !== undefined || neededIds.has(id))
  )
  /** Nothing depends on the stored key: another one may take its place. */
  const isReplaceable = (id: string) =>
    neededIds.size === 0 || (!neededIds.has(id) && findStored(id)?.promotion === null)
  const problems = [
    ...wrongIds
      .filter((id) => !isReplaceable(id))
      .map(
        (id) =>
          `${source}: the key "${id}" differs from the key this database was written with; ` +
          `${describeDependents(id)} it. Restore the right key.`
      ),
    ...(mayLackKeys && (hasFittingKey || missingIds.includes(givenUpId ?? ''))
      ? []
      : missingIds
    ).map(
      (id) =>
        `${source} lacks the key "${id}", and ${describeDependents(id)} it. ` +
        'Add it again, and remove it after "connector keys rotate" has finished. ' +
        `If it is lost: "connector keys give-up ${id}".`
    ),
    ...(lostIds.length === 0
      ? []
      : [`${source} lacks keys that are in use: ${lostIds.join(', ')}. Add them again.`]),
    ...describeExhaustion(storedKeys, keyring, source)
  ]
  if (problems.length > 0) throw new StartError(problems, CONFIGURATION_EXIT_CODE)

  for (const id of keyring.ids) {
    const stored = findStored(id)
    if (stored !== undefined && !wrongIds.includes(id)) continue
    const proof = createVault(withCurrentKey(keyring, id)).encrypt(
      KNOWN_PLAINTEXT,
      buildProofAad(id)
    )
    if (stored === undefined) await vaultKeys.register(id, proof)
    else {
      await vaultKeys.replace(id, stored.proof, proof)
      log?.warn(
        { event: 'vault_key_replaced', key_id: id },
        'Nothing was encrypted with the former key of this id, so this one takes its place. ' +
          'The audit trail that the former key signed cannot be verified any more.'
      )
    }
  }
  assertNoConflict(await vaultKeys.list(), keyring, source)
  return missingIds
}

/**
 * Verifies the keys as `registerKeys` does, and lets the database's current key encrypt.
 *
 * @throws StartError as `registerKeys`, and if a command lacks the current key
 */
export async function verifyKeyring(
  settings: VerificationSettings,
  keyring: Keyring,
  { onUsesCounted = () => {}, confirmCurrentKey, chooseCurrentKey }: VerificationHooks = {}
): Promise<VerifiedVault> {
  const { vaultKeys } = settings.store
  const missingIds = await registerKeys(settings, keyring)
  await (chooseCurrentKey?.(missingIds) ?? adoptCurrentKey(vaultKeys, keyring))
  const storedKeys = await vaultKeys.list()
  // Again, because this instance is seen by the others only now.
  assertNoConflict(storedKeys, keyring, settings.source)
  const usesAtStart = new Map(storedKeys.map(({ id, uses }) => [id, uses]))
  const { currentId } = keyring
  if (keyring.find(currentId) === undefined && settings.mayLackKeys !== true) {
    throw new StartError(
      [
        `${settings.source} lacks the key "${currentId}", with which the service encrypts. ` +
          'Run this command with the same keys.'
      ],
      CONFIGURATION_EXIT_CODE
    )
  }
  const vault = createVault(keyring, {
    getInitialUses: (id) => usesAtStart.get(id) ?? 0,
    countUses: async (id, uses) => {
      const total = await vaultKeys.addUses(id, uses)
      onUsesCounted(total)
      return total
    },
    ...(confirmCurrentKey === undefined ? {} : { confirmCurrentKey })
  })
  if (keyring.find(currentId) !== undefined) await archiveSigningKeys(vaultKeys, keyring, vault)
  // Assigned, not spread: the id of the current key is a getter.
  return Object.assign(vault, { opensProof: createProofCheck(keyring, vault, storedKeys) })
}

/** Decrypts the proof of the current key, at most once a second for each key. */
function createProofCheck(
  keyring: Keyring,
  vault: Vault,
  storedKeys: readonly VaultKeyRow[]
): () => boolean {
  const proofs = new Map(storedKeys.map(({ id, proof }) => [id, proof]))
  let last: { key: Buffer | undefined; at: number; opens: boolean } | undefined
  return () => {
    const id = keyring.currentId
    const key = keyring.find(id)
    const proof = proofs.get(id)
    // A key that was added since: it was verified when it was registered.
    if (proof === undefined) return key !== undefined
    const now = performance.now()
    if (last === undefined || last.key !== key || now - last.at > PROOF_INTERVAL_MS) {
      const opens = canDecrypt(() => vault.decrypt(proof, buildProofAad(id)))
      last = { key, at: now, opens }
    }
    return last.opens
  }
}

/** A new key in front of an exhausted one takes its place. */
function describeExhaustion(
  storedKeys: readonly VaultKeyRow[],
  { ids: [firstId] }: Keyring,
  source: string
): string[] {
  const current = findCurrentKey(storedKeys) ?? storedKeys.find(({ id }) => id === firstId)
  if (current === undefined || current.id !== firstId || current.uses < MAX_KEY_USES) return []
  return [
    `${source}: the key "${current.id}" has reached its limit of encryptions. ` +
      'Add a new key in front of it ("connector keys create").'
  ]
}

/** Another process may have registered a different key under the same id at the same time. */
function assertNoConflict(
  registeredKeys: readonly VaultKeyRow[],
  keyring: Keyring,
  source: string
): void {
  const vault = createVault(keyring)
  const conflictingKey = registeredKeys.find(
    ({ id, proof }) =>
      keyring.find(id) !== undefined && !canDecrypt(() => vault.decrypt(proof, buildProofAad(id)))
  )
  if (conflictingKey === undefined) return
  throw new StartError(
    [
      `${source}: another instance uses a different key with the id "${conflictingKey.id}". ` +
        'Give every instance the same keys.'
    ],
    CONFIGURATION_EXIT_CODE
  )
}

function describeRows(grants: number, connections: number): string {
  if (grants === 0 && connections > 0) {
    return connections === 1
      ? '1 stored connection needs'
      : `${connections} stored connections need`
  }
  return grants === 1 ? '1 stored grant needs' : `${grants} stored grants need`
}

function canDecrypt(decrypt: () => string): boolean {
  try {
    decrypt()
    return true
  } catch {
    return false
  }
}

async function canDecryptSamples(
  vault: Vault,
  encryptedTokens: Store['encryptedTokens'],
  id: string
): Promise<boolean> {
  const samples = await encryptedTokens.listEncryptedWith(id, MAX_SAMPLES)
  return (
    samples.length === 0 ||
    samples.some((sample) => canDecrypt(() => decryptAccessToken(vault, sample)))
  )
}
