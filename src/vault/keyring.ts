import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createMissingKeyError } from '../lib/missing-key.ts'

const KEY_BYTES = 32
const MIN_DISTINCT_BYTES = 20
export const KEY_ID_PATTERN = /^[A-Za-z0-9_-]{1,32}$/

/** The vault's keys: the current one encrypts, all of them decrypt. */
export interface Keyring {
  /**
   * The key that encrypts.
   *
   * @throws AppError `vault_key_missing` if this keyring lacks it
   */
  readonly current: { id: string; key: Buffer }
  /** The id of the key that encrypts, also if this keyring lacks it. */
  readonly currentId: string
  find: (id: string) => Buffer | undefined
  /** The ids of all keys, in the order of the settings. */
  readonly ids: readonly string[]
  /** Changes which key encrypts. The database decides it, so that all instances agree. */
  setCurrent: (id: string) => void
  /** Takes over the keys of another keyring. The current key stays the current one. */
  replaceKeys: (other: Keyring) => void
}

/** Creates a keyring whose first key is the current one. */
function createKeyring(initialKeys: ReadonlyMap<string, Buffer>, firstId: string): Keyring {
  let keys = initialKeys
  let currentId = firstId
  return {
    get current() {
      const key = keys.get(currentId)
      if (key === undefined) throw createMissingKeyError(currentId)
      return { id: currentId, key }
    },
    get currentId() {
      return currentId
    },
    find: (id) => keys.get(id),
    get ids() {
      return [...keys.keys()]
    },
    setCurrent(id) {
      currentId = id
    },
    replaceKeys({ ids, find }) {
      keys = new Map(ids.map((id) => [id, find(id) as Buffer]))
    }
  }
}

/** Returns a keyring with the same keys of which `id` is the current one. */
export function withCurrentKey({ ids, find }: Keyring, id: string): Keyring {
  return createKeyring(new Map(ids.map((each) => [each, find(each) as Buffer])), id)
}

/**
 * Parses `id:base64[,id:base64…]`; the first key becomes the current one.
 *
 * @returns the keyring, or one sentence per invalid entry, naming its position and never its
 *   value
 */
export function parseKeyring(
  text: string
): { keyring: Keyring; problems?: undefined } | { keyring?: undefined; problems: string[] } {
  const entries = text
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter(Boolean)
  const keys = new Map<string, Buffer>()
  const problems = entries.flatMap((entry, i) => {
    const colon = entry.indexOf(':')
    const id = entry.slice(0, Math.max(colon, 0))
    const key = Buffer.from(entry.slice(colon + 1), 'base64')
    const problem = validateEntry(id, key, entry.slice(colon + 1)) ?? validateUnique(keys, id, key)
    if (problem !== undefined) return [`entry ${i + 1} ${problem}`]
    keys.set(id, key)
    return []
  })
  const first = keys.entries().next().value
  if (problems.length > 0 || first === undefined) {
    return { problems: problems.length > 0 ? problems : ['holds no key'] }
  }
  return { keyring: createKeyring(keys, first[0]) }
}

/** Generates a new keyring entry. */
export function generateKeyEntry(id: string): string {
  return `${id}:${randomBytes(KEY_BYTES).toString('base64')}`
}

/**
 * Loads the development key. Creates it on first use: readable by its owner only, ignored by
 * git.
 *
 * @returns the content of the file, and whether it was created now
 */
export function loadOrCreateDevelopmentKey(path: string): { text: string; isNew: boolean } {
  try {
    const text = generateKeyEntry('dev')
    writeFileSync(path, text + '\n', { flag: 'wx', mode: 0o600 })
    return { text, isNew: true }
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
    return { text: readFileSync(path, 'utf8'), isNew: false }
  }
}

function validateUnique(
  keys: ReadonlyMap<string, Buffer>,
  id: string,
  key: Buffer
): string | undefined {
  if (keys.has(id)) return 'repeats the id of another entry'
  return [...keys.values()].some((other) => other.equals(key))
    ? 'repeats the key of another entry'
    : undefined
}

/**
 * 32 random bytes have about 30 distinct values; words, counters and repetitions have few, or a
 * constant step.
 */
function isLowEntropy(key: Buffer): boolean {
  const steps = new Set(key.subarray(1).map((byte, i) => byte - (key[i] ?? 0)))
  return new Set(key).size < MIN_DISTINCT_BYTES || steps.size < MIN_DISTINCT_BYTES / 2
}

function validateEntry(id: string, key: Buffer, encoded: string): string | undefined {
  if (!KEY_ID_PATTERN.test(id)) return 'needs an id of letters, digits, - or _ before a colon'
  // Node's base64 decoder skips invalid characters, so a damaged key would silently become a
  // different one.
  if (key.toString('base64').replace(/={1,2}$/, '') !== encoded.replace(/={1,2}$/, '')) {
    return 'is not base64'
  }
  if (key.length !== KEY_BYTES) return `must decode to ${KEY_BYTES} bytes`
  if (isLowEntropy(key)) return 'is not random'
  return undefined
}
