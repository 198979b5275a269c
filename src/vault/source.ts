import { readFileSync } from 'node:fs'
import { loadOrCreateDevelopmentKey, parseKeyring, type Keyring } from './keyring.ts'

/** In the working directory, beside .env; ignored by git. */
const DEVELOPMENT_KEY_FILE = '.vault-keys.dev'

/**
 * Where the vault's keys come from. A KMS would be another source: it unwraps the keys and
 * returns the same text, once, before the first request.
 */
export interface KeySource {
  /** The name an operator knows it by, for error messages. */
  name: string
  /** The file that holds them; null: a variable. */
  file: string | null
  /**
   * Reads `id:base64[,id:base64…]`.
   *
   * @throws KeySourceError with a sentence that does not name the source
   */
  read: () => string | Promise<string>
}

class KeySourceError extends Error {
  override readonly name = 'KeySourceError'
}

/** The keyring, and the key texts, which must be kept out of the log. */
export interface LoadedKeys {
  keyring: Keyring
  secrets: string[]
  source: string
  /** The file that holds them; null: a variable. */
  file: string | null
}

export interface KeySourceSettings {
  vaultKeys: string | null
  vaultKeysFile: string | null
}

/**
 * Resolves the key source that the settings name. Calls `onCreated` if development has just
 * created its key.
 */
export function resolveKeySource(
  { vaultKeys, vaultKeysFile }: KeySourceSettings,
  onCreated: (file: string) => void
): KeySource {
  if (vaultKeys !== null) return { name: 'VAULT_KEYS', file: null, read: () => vaultKeys }
  if (vaultKeysFile !== null) {
    return {
      name: 'VAULT_KEYS_FILE',
      file: vaultKeysFile,
      read: () => readKeyFile(vaultKeysFile)
    }
  }
  return {
    name: DEVELOPMENT_KEY_FILE,
    file: DEVELOPMENT_KEY_FILE,
    read: () => {
      const { text, isNew } = loadOrCreateDevelopmentKey(DEVELOPMENT_KEY_FILE)
      if (isNew) onCreated(DEVELOPMENT_KEY_FILE)
      return text
    }
  }
}

/** @returns the keys, or one sentence per problem; never a value */
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
    return { keys: { keyring, secrets, source: source.name, file: source.file } }
  } catch (error) {
    if (error instanceof KeySourceError) return { problems: [`${source.name} ${error.message}`] }
    throw error
  }
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new KeySourceError('names a file that cannot be read.', { cause })
  }
}
