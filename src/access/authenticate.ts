import { AppError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { createJwtVerifier } from './jwt.ts'
import type { Principal, Scope } from './rules.ts'
import { credentialKind, linkSecret } from './secrets.ts'
import { hashSecret } from '../lib/secret.ts'

export interface AuthenticatorOptions {
  store: Pick<Store, 'apiKeys' | 'connectSessions' | 'identities' | 'users'>
  /** Whether everybody may ask: then a credential that cannot be one of ours is nobody's business here. */
  publicAccess: boolean
  /** null: people cannot sign in with tokens of their own. */
  verifyJwt: ReturnType<typeof createJwtVerifier> | null
}

/** Finds out who asks. */
export function createAuthenticator({ store, verifyJwt, publicAccess }: AuthenticatorOptions) {
  return {
    /**
     * @param header `Authorization` (RFC 6750 section 2.1)
     * @throws AppError `unauthenticated` for a credential that is not good
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
     * Whether a person who came with a token is still there, and the token still good. Nobody is made on the way.
     *
     * @throws AppError as `bearer` does
     */
    async isStillValid(userId: number, header: string): Promise<boolean> {
      if (verifyJwt === null) return false
      await verifyJwt(parseBearer(header))
      return (await store.users.get(userId)) !== undefined
    },

    /** The session that a browser's cookie names. @throws AppError `unauthenticated` */
    authenticateCookie: async (cookie: string): Promise<Principal> =>
      await authenticateSession({ browserHash: hashSecret(cookie) })
  }

  async function authenticateKey(credential: string): Promise<Principal> {
    const apiKey = await store.apiKeys.find(hashSecret(credential))
    if (apiKey === undefined) throw invalidCredential()
    // That its use cannot be noted is no reason to refuse anybody, or to let them wait.
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

/** One sentence for every reason: who guesses learns nothing. */
function invalidCredential(): AppError {
  return new AppError('unauthenticated', 'The credential is not valid here, or not any more.')
}
