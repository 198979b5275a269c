import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hashSecret, randomToken } from '../../src/lib/secret.ts'
import { AppError } from '../../src/lib/errors.ts'
import { findRedirectUriWithBaseUrl, publicBaseUrl } from '../../src/http/public-url.ts'
import { PAGE_HEADERS } from '../../src/http/html.ts'
import { problemOrPageResponses } from '../../src/http/schemas.ts'
import {
  SESSION_TTL_MS,
  type ConnectSession
} from '../../src/store/repositories/connect-sessions.ts'
import { renderExpiredPage, renderProductPage } from './page.ts'

const LINK_EXPIRED =
  'This link has expired, or another browser has opened it. Request a new link where you got this one.'

/**
 * Opens the link of a connect session. A redirect removes the token from the URL, and the link
 * cannot be used again.
 */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const {
    store,
    sessionCookie: { name, secure }
  } = app
  const redirectUri = findRedirectUriWithBaseUrl(app.config)

  app.get(
    '',
    {
      // Links in messages get tracking parameters.
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      // HEAD, as link previews send it, must not consume the link.
      exposeHeadRoute: false,
      schema: {
        tags: ['Connections'],
        operationId: 'openConnectSession',
        summary:
          'Open the link of a connect session: redirects to the login, or shows a page to choose the product',
        querystring: Type.Object({
          token: Type.Optional(
            Type.String({
              maxLength: 128,
              format: 'text',
              description: 'Token of the link. Default: the session that this browser has opened'
            })
          )
        }),
        response: {
          200: {
            description: 'Page with one link for each product',
            content: { 'text/html': { schema: Type.String() } }
          },
          303: Type.Null({ description: 'Redirect to the login, or here without the token' }),
          // 401: the link has expired, or another browser has opened it.
          ...problemOrPageResponses(401, 422)
        }
      }
    },
    async (request, reply) => {
      const { token } = request.query
      const baseUrl = publicBaseUrl(app, request, redirectUri)
      const cookie = request.cookies[name]
      const openedSession =
        cookie === undefined
          ? undefined
          : await store.connectSessions.find({ browserHash: hashSecret(cookie) })
      if (token === undefined) {
        if (openedSession === undefined) return await rejectLink(request, reply)
        return await reply
          .headers(PAGE_HEADERS)
          .send(
            renderProductPage(
              app.providers.all.filter(({ id }) => openedSession.products.includes(id))
            )
          )
      }
      const session = await openSession(token, openedSession, (key) => {
        reply.setCookie(name, key, {
          path: '/',
          httpOnly: true,
          sameSite: 'lax',
          secure,
          maxAge: SESSION_TTL_MS / 1000
        })
      })
      if (session === undefined) return await rejectLink(request, reply)
      const [only, another] = session.products
      return await reply.redirect(
        another === undefined && only !== undefined
          ? `${baseUrl}/auth/${only}/login?redirect=true`
          : `${baseUrl}/connect`,
        303
      )
    }
  )

  /** Only the first browser that opens a link can use it; the same browser may open it again. */
  async function openSession(
    token: string,
    openedSession: ConnectSession | undefined,
    setCookie: (key: string) => void
  ): Promise<ConnectSession | undefined> {
    const key = randomToken()
    const session = await store.connectSessions.open(hashSecret(token), hashSecret(key))
    if (session !== undefined) {
      setCookie(key)
      return session
    }
    const existing = await store.connectSessions.find({ hash: hashSecret(token) })
    return existing?.id === openedSession?.id ? existing : undefined
  }
}

export default routes

/** @throws AppError `unauthenticated` for clients that do not accept HTML */
async function rejectLink(
  { headers: { accept = '' } }: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  if (!accept.includes('text/html')) throw new AppError('unauthenticated', LINK_EXPIRED)
  return await reply.code(401).headers(PAGE_HEADERS).send(renderExpiredPage(LINK_EXPIRED))
}
