import { AppError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { createJwtVerifier } from './jwt.ts'
import { isInNetworks } from './networks.ts'
import type { Principal, Scope, UserPrincipal } from './rules.ts'
import { credentialKind, isIntactKey, linkSecret } from './secrets.ts'
import { hashSecret } from '../lib/secret.ts'

export interface AuthenticatorOptions {
  store: Pick<Store, 'apiKeys' | 'connectSessions' | 'identities' | 'users'>
  /** Public access: a credential that cannot be one of ours is then ignored. */
  publicAccess: boolean
  /** null: JWT sign-in is not configured. */
  verifyJwt: ReturnType<typeof createJwtVerifier> | null
  /** Age from which a service key is refused, in ms; 0: none. */
  maxKeyAgeMs: number
  now: () => number
}

/** A request's credential and origin. */
interface Presented {
  /** The `Authorization` header (RFC 6750 section 2.1). */
  header: string
  ip: string
}

/** Creates the functions that authenticate callers. */
export function createAuthenticator({
  store,
  verifyJwt,
  publicAccess,
  maxKeyAgeMs,
  now
}: AuthenticatorOptions) {
  return {
    /** @throws AppError `unauthenticated` for an invalid credential */
    async authenticateBearer({ header, ip }: Presented): Promise<Principal> {
      const credential = parseBearer(header)
      const kind = credentialKind(credential)
      if (kind === 'key') return await authenticateKey(credential, ip)
      if (kind === 'session') {
        return await authenticateSession({ hash: hashSecret(linkSecret(credential)) })
      }
      if (verifyJwt === null && publicAccess) return { kind: 'anonymous' }
      if (credential === '' || verifyJwt === null) throw invalidCredential()
      const { identity, expiresAt } = await verifyJwt(credential)
      return { kind: 'user', userId: await store.identities.resolveUser(identity), expiresAt }
    },

    /** Whether the user and the token of a JWT caller are still valid. Creates no user. */
    async isStillValid({ userId, expiresAt }: UserPrincipal): Promise<boolean> {
      return expiresAt > Date.now() && (await store.users.get(userId)) !== undefined
    },

    /**
     * Finds the connect session named by a browser's cookie.
     *
     * @throws AppError `unauthenticated`
     */
    authenticateCookie: async (cookie: string): Promise<Principal> =>
      await authenticateSession({ browserHash: hashSecret(cookie) })
  }

  async function authenticateKey(credential: string, ip: string): Promise<Principal> {
    const apiKey = isIntactKey(credential)
      ? await store.apiKeys.find(hashSecret(credential))
      : undefined
    if (apiKey === undefined) throw invalidCredential()
    const isTooOld = maxKeyAgeMs > 0 && apiKey.createdAt.getTime() + maxKeyAgeMs <= now()
    const isElsewhere = apiKey.networks !== null && !isInNetworks(ip, apiKey.networks)
    if (isTooOld || isElsewhere) throw invalidCredential()
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
