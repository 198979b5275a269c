import type { Grant } from '../store/repositories/grants.ts'
import type { Sealed } from '../store/repositories/sealed-tokens.ts'
import type { Vault } from '../vault/vault.ts'

/** The three secrets of a grant, in clear. */
export interface Secrets {
  access: string
  refresh: string | null
  previous: string | null
}

const place = (
  grantId: string,
  column: 'access_token' | 'refresh_token' | 'previous_refresh_token'
) => `grants/${grantId}/${column}`

/** Seals the secrets of one grant, each to its own column: in another row or column it does not open. */
export function sealAll(
  vault: Vault,
  grantId: string,
  { access, refresh, previous }: Secrets
): Sealed {
  return {
    keyId: vault.keyId,
    accessToken: vault.seal(access, place(grantId, 'access_token')),
    refreshToken: refresh === null ? null : vault.seal(refresh, place(grantId, 'refresh_token')),
    previousRefreshToken:
      previous === null ? null : vault.seal(previous, place(grantId, 'previous_refresh_token'))
  }
}

/** @throws UnreadableError */
export function openAccess(
  vault: Vault,
  { id, accessToken }: Pick<Grant, 'id' | 'accessToken'>
): string {
  return vault.open(accessToken, place(id, 'access_token'))
}

/** All secrets of a grant. @throws UnreadableError if any of them does not open */
export function openAll(vault: Vault, grant: Sealed & { id: string }): Secrets {
  const { id, refreshToken, previousRefreshToken } = grant
  return {
    access: openAccess(vault, grant),
    refresh: refreshToken === null ? null : vault.open(refreshToken, place(id, 'refresh_token')),
    previous:
      previousRefreshToken === null
        ? null
        : vault.open(previousRefreshToken, place(id, 'previous_refresh_token'))
  }
}
