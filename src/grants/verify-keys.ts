import { StartError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { Keyring } from '../vault/keyring.ts'
import { archiveSigningKeys } from './signing-keys.ts'
import { createVault, MAX_KEY_USES, type Vault } from '../vault/vault.ts'
import { decryptAccessToken } from './encrypt.ts'

const KNOWN_PLAINTEXT = 'the right key'
/**
 * A database without key proofs (made by an early version) is verified by decrypting samples of
 * its tokens; one success is enough.
 */
const MAX_SAMPLES = 5

/** A vault whose keys are those that the database was written with. */
export interface VerifiedVault extends Vault {
  /** Whether the current key still opens its stored proof. Costs no use of the key. */
  opensProof: () => boolean
}

/** The additional authenticated data of a key's proof. */
const buildProofAad = (id: string) => `vault_keys/${id}/proof`

/**
 * Verifies every key before anything is decrypted: a wrong key, or a missing one that is still
 * in use, is found at start. Registers new keys in the database.
 *
 * @param source how the operator supplied the keys, for error messages
 * @param onUsesCounted receives the number of uses of the current key, by all processes
 * @throws StartError with one sentence per key and the number of rows that need it; exit code 78
 */
export async function verifyKeyring(
  store: Pick<Store, 'vaultKeys' | 'encryptedTokens' | 'connectionSignatures'>,
  keyring: Keyring,
  source: string,
  onUsesCounted: (uses: number) => void = () => {}
): Promise<VerifiedVault> {
  const { vaultKeys, encryptedTokens, connectionSignatures } = store
  const [storedKeys, grantCounts, connectionCounts] = await Promise.all([
    vaultKeys.list(),
    encryptedTokens.countByKey(),
    connectionSignatures.countByKey()
  ])
  const describeDependents = (id: string) =>
    describeRows(grantCounts.get(id) ?? 0, connectionCounts.get(id) ?? 0)
  const initialUses = storedKeys.find(({ id }) => id === keyring.current.id)?.uses ?? 0
  const vault = createVault(keyring, initialUses, async (uses) => {
    const total = await vaultKeys.addUses(keyring.current.id, uses)
    onUsesCounted(total)
    return total
  })
  const problems: string[] = []

  for (const id of keyring.ids) {
    const proof = storedKeys.find((row) => row.id === id)?.proof
    const isValid =
      proof === undefined
        ? await canDecryptSamples(vault, encryptedTokens, id)
        : canDecrypt(() => vault.decrypt(proof, buildProofAad(id)))
    if (!isValid) {
      problems.push(
        `${source}: the key "${id}" differs from the key this database was written with; ` +
          `${describeDependents(id)} it. Restore the right key.`
      )
    }
  }
  for (const id of new Set([...grantCounts.keys(), ...connectionCounts.keys()])) {
    if (keyring.find(id) === undefined) {
      problems.push(
        `${source} lacks the key "${id}", and ${describeDependents(id)} it. ` +
          'Add it again behind the first key, and remove it after "connector keys rotate" has finished.'
      )
    }
  }
  if (initialUses >= MAX_KEY_USES) {
    problems.push(
      `${source}: the key "${keyring.current.id}" has reached its limit of encryptions. ` +
        'Add a new key in front of it ("connector keys new").'
    )
  }
  if (problems.length > 0) throw new StartError(problems, 78)

  const newKeyIds = keyring.ids.filter((id) => !storedKeys.some((row) => row.id === id))
  for (const id of newKeyIds) {
    await vaultKeys.register(
      id,
      createVault({ ...keyring, current: { id, key: keyring.find(id) as Buffer } }).encrypt(
        KNOWN_PLAINTEXT,
        buildProofAad(id)
      )
    )
  }
  // Another process may have registered a different key under the same id at the same time.
  const registeredKeys = newKeyIds.length === 0 ? storedKeys : await vaultKeys.list()
  const conflictingKey = registeredKeys.find(
    ({ id, proof }) =>
      newKeyIds.includes(id) && !canDecrypt(() => vault.decrypt(proof, buildProofAad(id)))
  )
  if (conflictingKey !== undefined) {
    throw new StartError(
      [
        `${source}: another instance uses a different key with the id "${conflictingKey.id}". ` +
          'Give every instance the same keys.'
      ],
      78
    )
  }
  await archiveSigningKeys(vaultKeys, keyring, vault)
  const { id } = keyring.current
  const currentProof = registeredKeys.find((row) => row.id === id)?.proof ?? ''
  return {
    ...vault,
    opensProof: () => canDecrypt(() => vault.decrypt(currentProof, buildProofAad(id)))
  }
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
