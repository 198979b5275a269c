import { readFileSync, statSync } from 'node:fs'
import { loadOrCreateDevelopmentKey, parseKeyring, type Keyring } from './keyring.ts'

/** Beside the working directory's .env, ignored by git. */
const DEVELOPMENT_KEY_FILE = '.vault-keys.dev'
const WORLD_READABLE_MODE = 0o004

/**
 * Where the vault's keys come from. A KMS is one more of these: it unwraps what it keeps and hands over the same text,
 * once, before the first request.
 */
export interface KeySource {
  /** What an operator knows it by, in sentences. */
  name: string
  /** `id:base64[,id:base64…]`. @throws KeySourceError a sentence without the source's name */
  read: () => string | Promise<string>
}

class KeySourceError extends Error {
  override readonly name = 'KeySourceError'
}

/** The keys, and their texts for whoever has to keep them out of the log. */
export interface LoadedKeys {
  keyring: Keyring
  secrets: string[]
  source: string
}

export interface KeySourceSettings {
  vaultKeys: string | null
  vaultKeysFile: string | null
  production: boolean
}

/** Which source the settings mean. `onMade` is told when development has just made its key. */
export function resolveKeySource(
  { vaultKeys, vaultKeysFile, production }: KeySourceSettings,
  onCreated: (file: string) => void
): KeySource {
  if (vaultKeys !== null) return { name: 'VAULT_KEYS', read: () => vaultKeys }
  if (vaultKeysFile !== null) {
    return { name: 'VAULT_KEYS_FILE', read: () => readKeyFile(vaultKeysFile, production) }
  }
  return {
    name: DEVELOPMENT_KEY_FILE,
    read: () => {
      const { text, isNew } = loadOrCreateDevelopmentKey(DEVELOPMENT_KEY_FILE)
      if (isNew) onCreated(DEVELOPMENT_KEY_FILE)
      return text
    }
  }
}

/** @returns the keys, or one sentence for each thing that is wrong with them; never a value */
export async function loadKeys(
  source: KeySource
): Promise<{ keys: LoadedKeys; problems?: undefined } | { keys?: undefined; problems: string[] }> {
  try {
    const text = await source.read()
    const { keyring, problems } = parseKeyring(text)
    if (keyring === undefined) {
      return { problems: problems.map((problem) => `${source.name}: ${problem}.`) }
    }
    const secrets = text
      .split(/[,\n]/)
      .map((entry) => entry.slice(entry.indexOf(':') + 1).trim())
      .filter(Boolean)
    return { keys: { keyring, secrets, source: source.name } }
  } catch (error) {
    if (error instanceof KeySourceError) return { problems: [`${source.name} ${error.message}`] }
    throw error
  }
}

/** Whoever reads the file holds every token: production does not take one that the whole machine may read. */
function readKeyFile(path: string, production: boolean): string {
  try {
    if (production && (statSync(path).mode & WORLD_READABLE_MODE) !== 0) {
      throw new KeySourceError(
        'names a file that everybody on this machine may read; take that right away (chmod 600).'
      )
    }
    return readFileSync(path, 'utf8')
  } catch (cause) {
    if (cause instanceof KeySourceError) throw cause
    throw new KeySourceError('names a file that cannot be read.', { cause })
  }
}
