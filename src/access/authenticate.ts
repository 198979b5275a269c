import { AppError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { createJwtVerifier } from './jwt.ts'
import type { Principal, Scope } from './rules.ts'
import { credentialKind, linkSecret } from './secrets.ts'
import { hashSecret } from '../lib/secret.ts'

export interface AuthenticatorOptions {
  store: Pick<Store, 'apiKeys' | 'connectSessions' | 'identities' | 'users'>
  /** Public access: a credential that cannot be one of ours is then ignored. */
  publicAccess: boolean
  /** null: JWT sign-in is not configured. */
  verifyJwt: ReturnType<typeof createJwtVerifier> | null
}

/** Creates the functions that authenticate callers. */
export function createAuthenticator({ store, verifyJwt, publicAccess }: AuthenticatorOptions) {
  return {
    /**
     * @param header the `Authorization` header (RFC 6750 section 2.1)
     * @throws AppError `unauthenticated` for an invalid credential
     */
    async authenticateBearer(header: string): Promise<Principal> {
      const credential = parseBearer(header)
      const kind = credentialKind(credential)
      if (kind === 'ck') return await authenticateKey(credential)
      if (kind === 'cs') {
        return await authenticateSession({ hash: hashSecret(linkSecret(credential)) })
      }
      if (verifyJwt === null && publicAccess) return { kind: 'anonymous' }
      if (credential === '' || verifyJwt === null) throw invalidCredential()
      return {
        kind: 'user',
        userId: await store.identities.resolveUser(await verifyJwt(credential))
      }
    },

    /**
     * Whether the user and the token of a JWT caller are still valid. Creates no user.
     *
     * @throws AppError as `authenticateBearer`
     */
    async isStillValid(userId: number, header: string): Promise<boolean> {
      if (verifyJwt === null) return false
      await verifyJwt(parseBearer(header))
      return (await store.users.get(userId)) !== undefined
    },

    /**
     * Finds the connect session named by a browser's cookie.
     *
     * @throws AppError `unauthenticated`
     */
    authenticateCookie: async (cookie: string): Promise<Principal> =>
      await authenticateSession({ browserHash: hashSecret(cookie) })
  }

  async function authenticateKey(credential: string): Promise<Principal> {
    const apiKey = await store.apiKeys.find(hashSecret(credential))
    if (apiKey === undefined) throw invalidCredential()
    // Failing to record the use neither refuses nor delays the caller.
    store.apiKeys.markUsed(apiKey).catch(() => {})
    return { kind: 'key', id: apiKey.id, name: apiKey.name, scopes: apiKey.scopes as Scope[] }
  }

  async function authenticateSession(
    criteria: Parameters<Store['connectSessions']['find']>[0]
  ): Promise<Principal> {
    const session = await store.connectSessions.find(criteria)
    if (session === undefined) throw invalidCredential()
    return {
      kind: 'session',
      id: session.id,
      userId: session.userId,
      products: session.products,
      returnUrl: session.returnUrl
    }
  }
}

function parseBearer(header: string): string {
  return /^Bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1] ?? ''
}

/** The same message for every reason, so that it reveals nothing to an attacker. */
function invalidCredential(): AppError {
  return new AppError('unauthenticated', 'The credential is invalid or has expired.')
}
