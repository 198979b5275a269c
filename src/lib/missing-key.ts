import { AppError } from './errors.ts'

/** After this time, a request may reach an instance that has the key. */
const RETRY_AFTER_S = 5

/** What an instance answers that lacks a vault key: another instance has it, or this one will. */
export function createMissingKeyError(keyId: string, cause?: unknown): AppError {
  return new AppError(
    'vault_key_missing',
    `This instance does not have the vault key "${keyId}". The operator must add it to VAULT_KEYS ` +
      'or VAULT_KEYS_FILE of this instance. Nothing was changed.',
    { retryAfterS: RETRY_AFTER_S, cause }
  )
}
