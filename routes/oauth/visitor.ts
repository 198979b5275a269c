import type { FastifyInstance, FastifyRequest } from 'fastify'
import { hashSecret } from '../../src/lib/secret.ts'
import { findLoginResult, type LoginResult } from '../../src/oauth/login-result.ts'
import type { Provider } from '../../src/providers/provider.ts'
import type { ConnectionWithGrant } from '../../src/store/repositories/connections.ts'
import { readFlowSecrets } from '../auth/cookie.ts'

/** What the person who looks at a page may see and open. */
export interface Visitor {
  /** The login that this browser has completed. */
  result: LoginResult | undefined
  /** The connection that the page is about. */
  current: ConnectionWithGrant | undefined
  canLogIn: boolean
  canReadItems: boolean
  canReadConnections: boolean
  canReadDocs: boolean
}

/**
 * Finds out what this browser may do. The page's URL proves nothing: the connection is that of a
 * login that this browser completed, or, where everybody may read everything, of the user that
 * the URL names.
 */
export async function identifyVisitor(
  { config, store, sessionCookie }: FastifyInstance,
  { cookies }: FastifyRequest,
  provider: Provider,
  namedUserId: string | undefined
): Promise<Visitor> {
  const result = await findLoginResult(store, readFlowSecrets(cookies), provider.id)
  const sessionKey = cookies[sessionCookie.name]
  const session =
    sessionKey === undefined
      ? undefined
      : await store.connectSessions.find({ browserHash: hashSecret(sessionKey) })
  const isPublic = config.publicAccess
  const current =
    result?.current ??
    (isPublic && /^[1-9]\d{0,14}$/.test(namedUserId ?? '')
      ? await store.connections.get(Number(namedUserId), provider.id)
      : undefined)
  return {
    result,
    current,
    canLogIn: isPublic || session?.products.includes(provider.id) === true,
    canReadItems: isPublic,
    canReadConnections:
      isPublic || (session !== undefined && session.userId === current?.connection.userId),
    canReadDocs: config.publicDocs
  }
}
