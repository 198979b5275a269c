import { AppError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { createJwtReader } from './jwt.ts'
import type { Principal, Scope } from './rules.ts'
import { hashOf, kindOf, linkOf } from './secrets.ts'

export interface AuthenticateSettings {
  store: Pick<Store, 'apiKeys' | 'sessions' | 'identities' | 'users'>
  /** Whether everybody may ask: then a credential that cannot be one of ours is nobody's business here. */
  openToAll: boolean
  /** null: people cannot sign in with tokens of their own. */
  readJwt: ReturnType<typeof createJwtReader> | null
}

/** Finds out who asks. */
export function createAuthenticator({ store, readJwt, openToAll }: AuthenticateSettings) {
  return {
    /**
     * @param header `Authorization` (RFC 6750 section 2.1)
     * @throws AppError `unauthenticated` for a credential that is not good
     */
    async bearer(header: string): Promise<Principal> {
      const credential = credentialOf(header)
      const kind = kindOf(credential)
      if (kind === 'ck') return await key(credential)
      if (kind === 'cs') return await session({ hash: hashOf(linkOf(credential)) })
      if (readJwt === null && openToAll) return { kind: 'anybody' }
      if (credential === '' || readJwt === null) throw notGood()
      return { kind: 'user', userId: await store.identities.userOf(await readJwt(credential)) }
    },

    /**
     * Whether a person who came with a token is still there, and the token still good. Nobody is made on the way.
     *
     * @throws AppError as `bearer` does
     */
    async isStill(userId: number, header: string): Promise<boolean> {
      if (readJwt === null) return false
      await readJwt(credentialOf(header))
      return (await store.users.get(userId)) !== undefined
    },

    /** The session that a browser's cookie names. @throws AppError `unauthenticated` */
    browser: async (cookie: string): Promise<Principal> =>
      await session({ browserHash: hashOf(cookie) })
  }

  async function key(credential: string): Promise<Principal> {
    const found = await store.apiKeys.find(hashOf(credential))
    if (found === undefined) throw notGood()
    // That its use cannot be noted is no reason to refuse anybody, or to let them wait.
    store.apiKeys.used(found).catch(() => {})
    return { kind: 'key', id: found.id, name: found.name, scopes: found.scopes as Scope[] }
  }

  async function session(by: Parameters<Store['sessions']['find']>[0]): Promise<Principal> {
    const found = await store.sessions.find(by)
    if (found === undefined) throw notGood()
    return {
      kind: 'session',
      id: found.id,
      userId: found.userId,
      products: found.products,
      returnUrl: found.returnUrl
    }
  }
}

function credentialOf(header: string): string {
  return /^Bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1] ?? ''
}

/** One sentence for every reason: who guesses learns nothing. */
function notGood(): AppError {
  return new AppError('unauthenticated', 'The credential is not valid here, or not any more.')
}
