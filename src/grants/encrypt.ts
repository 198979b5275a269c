import type { Grant } from '../store/repositories/grants.ts'
import type { EncryptedTokens } from '../store/repositories/encrypted-tokens.ts'
import type { Vault } from '../vault/vault.ts'

/** The three secrets of a grant, in plain text. */
export interface PlainTokens {
  access: string
  refresh: string | null
  previous: string | null
}

const buildTokenAad = (
  grantId: string,
  column: 'access_token' | 'refresh_token' | 'previous_refresh_token'
) => `grants/${grantId}/${column}`

/**
 * Encrypts the secrets of one grant, each bound to its row and column: a ciphertext moved
 * elsewhere cannot be decrypted.
 */
export function encryptTokens(
  vault: Vault,
  grantId: string,
  { access, refresh, previous }: PlainTokens
): EncryptedTokens {
  return {
    keyId: vault.keyId,
    accessToken: vault.encrypt(access, buildTokenAad(grantId, 'access_token')),
    refreshToken:
      refresh === null ? null : vault.encrypt(refresh, buildTokenAad(grantId, 'refresh_token')),
    previousRefreshToken:
      previous === null
        ? null
        : vault.encrypt(previous, buildTokenAad(grantId, 'previous_refresh_token'))
  }
}

/** @throws DecryptionError */
export function decryptAccessToken(
  vault: Vault,
  { id, accessToken }: Pick<Grant, 'id' | 'accessToken'>
): string {
  return vault.decrypt(accessToken, buildTokenAad(id, 'access_token'))
}

/**
 * Decrypts all secrets of a grant.
 *
 * @throws DecryptionError if any of them fails
 */
export function decryptTokens(vault: Vault, grant: EncryptedTokens & { id: string }): PlainTokens {
  const { id, refreshToken, previousRefreshToken } = grant
  return {
    access: decryptAccessToken(vault, grant),
    refresh:
      refreshToken === null
        ? null
        : vault.decrypt(refreshToken, buildTokenAad(id, 'refresh_token')),
    previous:
      previousRefreshToken === null
        ? null
        : vault.decrypt(previousRefreshToken, buildTokenAad(id, 'previous_refresh_token'))
  }
}
