import type { Store } from '../store/index.ts'
import { hashSecret, displayPrefix } from './secrets.ts'

/** The name of the key that the settings bring along. */
export const BOOTSTRAP_KEY_NAME = 'bootstrap'

/**
 * Makes the key of the settings where it is not there yet, and ends the one that it takes the place of.
 *
 * @returns `revoked` where it was there and has been revoked: it does not come back
 */
export async function ensureBootstrapKey(
  { apiKeys }: Pick<Store, 'apiKeys'>,
  secret: string
): Promise<'there' | 'made' | 'revoked'> {
  const hash = hashSecret(secret)
  const key = {
    name: BOOTSTRAP_KEY_NAME,
    hash,
    prefix: displayPrefix(secret),
    scopes: ['admin'],
    expiresAt: null
  }
  const findState = async () =>
    (await apiKeys.find(hash)) !== undefined
      ? 'there'
      : (await apiKeys.has(hash))
        ? 'revoked'
        : undefined
  const existing = await findState()
  if (existing !== undefined) return existing
  if ((await apiKeys.create(key)) !== undefined) return 'made'
  await apiKeys.revoke({ name: BOOTSTRAP_KEY_NAME })
  // Another instance that starts may have made it meanwhile.
  return (await apiKeys.create(key)) !== undefined ? 'made' : ((await findState()) ?? 'revoked')
}
