import type { Store } from '../store/index.ts'
import { hashOf, prefixOf } from './secrets.ts'

/** The name of the key that the settings bring along. */
export const BOOTSTRAP = 'bootstrap'

/**
 * Makes the key of the settings where it is not there yet, and ends the one that it takes the place of.
 *
 * @returns `revoked` where it was there and has been revoked: it does not come back
 */
export async function bootstrap(
  { apiKeys }: Pick<Store, 'apiKeys'>,
  secret: string
): Promise<'there' | 'made' | 'revoked'> {
  const hash = hashOf(secret)
  const key = {
    name: BOOTSTRAP,
    hash,
    prefix: prefixOf(secret),
    scopes: ['admin'],
    expiresAt: null
  }
  const state = async () =>
    (await apiKeys.find(hash)) !== undefined
      ? 'there'
      : (await apiKeys.has(hash))
        ? 'revoked'
        : undefined
  const before = await state()
  if (before !== undefined) return before
  if ((await apiKeys.create(key)) !== undefined) return 'made'
  await apiKeys.revoke({ name: BOOTSTRAP })
  // Another instance that starts may have made it meanwhile.
  return (await apiKeys.create(key)) !== undefined ? 'made' : ((await state()) ?? 'revoked')
}
