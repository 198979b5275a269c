import type { Heartbeat } from '../instances/heartbeat.ts'
import { StartError } from '../lib/errors.ts'
import { findFileProblem } from '../lib/file-trust.ts'
import type { Logger } from '../lib/http-client.ts'
import { loadKeys, resolveKeySource, type LoadedKeys } from '../vault/source.ts'
import { registerKeys, type VerificationSettings } from './verify-keys.ts'

export interface KeyReloadSettings {
  verification: VerificationSettings
  vaultKeys: LoadedKeys
  heartbeat: Heartbeat
  /** Registers a value that must never be logged. */
  redactValue: (secret: string) => void
  /** Whether a key file that other users can read is refused, as at the start. */
  isStrict: boolean
  log: Logger
}

/**
 * Creates a function that reads the file of the vault's keys again. If anything is wrong with it,
 * the keys stay as they were, and a log line says why.
 */
export function createKeyReload({
  verification,
  vaultKeys: { keyring, file, source },
  heartbeat,
  redactValue,
  isStrict,
  log
}: KeyReloadSettings): () => Promise<void> {
  async function loadFile(path: string): Promise<LoadedKeys> {
    const problem = isStrict ? findFileProblem(path, true) : undefined
    if (problem?.isOpenToAll === true) throw new StartError([`${source} ${problem.text}.`], 1)
    const { keys, problems } = await loadKeys(
      resolveKeySource({ vaultKeys: null, vaultKeysFile: path }, () => {})
    )
    if (keys === undefined) throw new StartError(problems, 1)
    return keys
  }

  /** @throws StartError if the keys are wrong, or lack one that this instance has and needs */
  async function reload(path: string): Promise<void> {
    const loaded = await loadFile(path)
    loaded.secrets.forEach(redactValue)
    const { currentId } = keyring
    if (keyring.find(currentId) !== undefined && loaded.keyring.find(currentId) === undefined) {
      throw new StartError([`${source} lacks the current key "${currentId}". Add it again.`], 1)
    }
    const missingIds = await registerKeys(
      { ...verification, requiredIds: keyring.ids },
      loaded.keyring
    )
    keyring.replaceKeys(loaded.keyring)
    heartbeat.addMissing(missingIds)
    await heartbeat.beatWithNewKeys()
    log.info({ event: 'vault_keys_reloaded', key_ids: keyring.ids }, 'Read the vault keys again.')
  }

  return async () => {
    if (file === null) {
      log.warn(
        { event: 'vault_keys_not_reloaded', key_ids: keyring.ids },
        'The vault keys come from the variable VAULT_KEYS, which a process cannot read again: restart it.'
      )
      return
    }
    await reload(file).catch((error: unknown) => {
      const isExpected = error instanceof StartError
      log.error(
        {
          event: 'vault_keys_refused',
          key_ids: keyring.ids,
          ...(isExpected ? { problems: error.problems } : { err: error })
        },
        'The vault keys could not be read again; the former ones stay.'
      )
    })
  }
}
