import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

const KEY_BYTES = 32
const MIN_DISTINCT_BYTES = 20
const KEY_ID_PATTERN = /^[A-Za-z0-9_-]{1,32}$/

/** The vault's keys: the current one encrypts, all of them decrypt. */
export interface Keyring {
  current: { id: string; key: Buffer }
  find: (id: string) => Buffer | undefined
  /** The ids of all keys, the current one first. */
  ids: readonly string[]
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
  return {
    keyring: {
      current: { id: first[0], key: first[1] },
      find: (id) => keys.get(id),
      ids: [...keys.keys()]
    }
  }
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
