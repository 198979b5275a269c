import { StartError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { Keyring } from '../vault/keyring.ts'
import { createVault, MOST_USES, type Vault } from '../vault/vault.ts'
import { openAccess } from './encrypt.ts'

const KNOWN_WORD = 'the right key'
/** A database from before there were proofs is judged by some of its own tokens; any one that opens is enough. */
const SAMPLES = 5

/** Where a key's proof is sealed to. */
const placeOf = (id: string) => `vault_keys/${id}/proof`

/**
 * Looks at every key before anything is opened with it: a wrong key, or one that is missing and still needed, is found at
 * the start and not at the first use. New keys are introduced to the database.
 *
 * @param source what an operator knows the keys by
 * @returns the vault
 * @throws StartError one sentence for each key, with how many rows need it; exit code 78
 */
export async function proveKeys(
  { keys, sealed }: Pick<Store, 'keys' | 'sealed'>,
  keyring: Keyring,
  source: string
): Promise<Vault> {
  const [known, needed] = await Promise.all([keys.list(), sealed.perKey()])
  const used = known.find(({ id }) => id === keyring.current.id)?.uses ?? 0
  const vault = createVault(keyring, used)
  const problems: string[] = []

  for (const id of keyring.ids) {
    const proof = known.find((row) => row.id === id)?.proof
    const right =
      proof === undefined
        ? await opensSamples(vault, sealed, id)
        : opens(() => vault.open(proof, placeOf(id)))
    if (!right) {
      problems.push(
        `${source}: the key "${id}" is not the one this database was written with; ${rows(needed.get(id))} it. Put the right one back.`
      )
    }
  }
  for (const [id, count] of needed) {
    if (keyring.find(id) === undefined) {
      problems.push(
        `${source} lacks the key "${id}", and ${rows(count)} it. Put it back behind the first one, and take it out when "npm run keys -- rotate" has ended.`
      )
    }
  }
  if (used >= MOST_USES) {
    problems.push(
      `${source}: the key "${keyring.current.id}" has been used too often to seal anything more. Put a new one in front of it (npm run keys -- new).`
    )
  }
  if (problems.length > 0) throw new StartError(problems, 78)

  const fresh = keyring.ids.filter((id) => !known.some((row) => row.id === id))
  for (const id of fresh) {
    await keys.introduce(
      id,
      createVault({ ...keyring, current: { id, key: keyring.find(id) as Buffer } }).seal(
        KNOWN_WORD,
        placeOf(id)
      )
    )
  }
  // Somebody else may have introduced another key under the same name at the same moment.
  const [mine] =
    fresh.length === 0
      ? []
      : (await keys.list()).filter(
          ({ id, proof }) => fresh.includes(id) && !opens(() => vault.open(proof, placeOf(id)))
        )
  if (mine !== undefined) {
    throw new StartError(
      [
        `${source}: another instance uses another key of the name "${mine.id}". Give every instance the same keys.`
      ],
      78
    )
  }
  return vault
}

function rows(count = 0): string {
  return count === 1 ? '1 stored grant needs' : `${count} stored grants need`
}

function opens(open: () => string): boolean {
  try {
    open()
    return true
  } catch {
    return false
  }
}

async function opensSamples(vault: Vault, sealed: Store['sealed'], id: string): Promise<boolean> {
  const samples = await sealed.with(id, SAMPLES)
  return samples.length === 0 || samples.some((sample) => opens(() => openAccess(vault, sample)))
}
