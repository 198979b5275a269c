import type { Store } from '../store/index.ts'
import { displayPrefix } from './secrets.ts'
import { hashSecret } from '../lib/secret.ts'

/** The name of the key from BOOTSTRAP_API_KEY. */
export const BOOTSTRAP_KEY_NAME = 'bootstrap'

/**
 * Creates the key of BOOTSTRAP_API_KEY if it does not exist, and revokes the bootstrap key that it replaces.
 *
 * @returns `revoked` if the key exists and has been revoked; it stays revoked
 */
export async function ensureBootstrapKey(
  { apiKeys }: Pick<Store, 'apiKeys'>,
  secret: string
): Promise<'exists' | 'created' | 'revoked'> {
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
      ? 'exists'
      : (await apiKeys.has(hash))
        ? 'revoked'
        : undefined
  const existing = await findState()
  if (existing !== undefined) return existing
  if ((await apiKeys.create(key)) !== undefined) return 'created'
  await apiKeys.revoke({ name: BOOTSTRAP_KEY_NAME })
  // Another starting instance may have created it since.
  return (await apiKeys.create(key)) !== undefined ? 'created' : ((await findState()) ?? 'revoked')
}
