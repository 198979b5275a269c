import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { serializeInitiator } from '../../src/access/principal-actor.ts'
import { LEAVING_FORM_PAGE_HEADERS, PAGE_HEADERS } from '../../src/http/html.ts'
import { refusePrefetch } from '../../src/http/navigation.ts'
import { publicBaseUrl } from '../../src/http/public-url.ts'
import { deriveLoginQuotaKey } from '../../src/http/rate-limit-key.ts'
import { problemOrPageResponses } from '../../src/http/schemas.ts'
import { AppError } from '../../src/lib/errors.ts'
import { hashSecret, randomToken } from '../../src/lib/secret.ts'
import { findExistingScopes } from '../../src/oauth/clients.ts'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import {
  SESSION_TTL_MS,
  type ConnectSession
} from '../../src/store/repositories/connect-sessions.ts'
import { redirectToAtlassian } from '../auth/cookie.ts'
import { endSession } from '../connect-sessions/end.ts'
import { createFormBinding } from './form.ts'
import { renderLinkPage, renderMessagePage } from './pages.ts'

const LINK_EXPIRED =
  'This link has expired, or another browser has opened it. Request a new link where you got this one.'

/**
 * The page of a connect session's link. The form on it opens the link and starts the login:
 * programs that fetch links, such as mail scanners and previews, use nothing up.
 */
export const linkRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const {
    store,
    flow,
    oauthClients,
    providers,
    sessionCookie: { name, secure }
  } = app
  const forms = createFormBinding(app)
  const cookieOptions = { path: '/', httpOnly: true, sameSite: 'lax', secure } as const

  app.get(
    '',
    {
      // Links in messages get tracking parameters.
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      exposeHeadRoute: false,
      schema: {
        tags: ['Connections'],
        operationId: 'openConnectSession',
        summary: 'Page of a connect session: names the user, and has one button for each product',
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
            description: 'Page with one button for each product',
            content: { 'text/html': { schema: Type.String() } }
          },
          // 401: the link has expired, or another browser has opened it.
          ...problemOrPageResponses(401, 403, 422)
        }
      }
    },
    async (request, reply) => {
      refusePrefetch(request)
      const { token } = request.query
      const own = await findOwnSession(request)
      const session = token === undefined ? own : await findLinkedSession(token, own)
      if (session === undefined) return await rejectLink(request, reply)
      return await sendLinkPage(request, reply, session, own, token)
    }
  )

  app.post(
    '',
    {
      // The form carries a token that only the browser of the page was given.
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      schema: { hide: true }
    },
    async (request, reply) => {
      const form = forms.readForm(request)
      const [product, token] = [form.get('product') ?? '', form.get('token') ?? undefined]
      const own = await findOwnSession(request)
      const linked = token === undefined ? own : await findLinkedSession(token, own)
      if (linked === undefined) return await rejectLink(request, reply)
      if (!linked.products.includes(product)) {
        throw new AppError('forbidden', 'This connect session is not for this product.')
      }
      // The session changed after the page was made: the person has not agreed to replace it.
      if (own !== undefined && own.id !== linked.id && form.get('replaces') !== String(own.id)) {
        return await sendLinkPage(request, reply.code(409), linked, own, token)
      }
      const client = oauthClients.findForLogin(product, publicBaseUrl(app, request))
      if (client === undefined) {
        throw new AppError(
          'oauth_not_configured',
          `${providers.get(product).title} OAuth is not configured.`,
          { missing: oauthClients.findMissingSettings(product) }
        )
      }
      const session =
        token === undefined || linked.id === own?.id ? linked : await openSession(token, reply)
      if (session === undefined) return await rejectLink(request, reply)
      const principal = { kind: 'session', ...session } as const
      const login = await flow.startBound({
        client,
        callerState: null,
        returnUrl: session.returnUrl,
        scope: undefined,
        userId: session.userId,
        quotaKey: deriveLoginQuotaKey(principal, request.ip, undefined),
        initiator: serializeInitiator(principal),
        existingScopes: await findExistingScopes(store, oauthClients, session.userId, client),
        changeAccount: false
      })
      return await redirectToAtlassian(reply, login, client, 303)
    }
  )

  app.post(
    '/end',
    {
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      schema: { hide: true }
    },
    async (request, reply) => {
      forms.readForm(request)
      const own = await findOwnSession(request)
      if (own !== undefined) await endSession(store, own)
      return await reply
        .clearCookie(name, cookieOptions)
        .headers(PAGE_HEADERS)
        .send(renderMessagePage('Stopped', 'This browser no longer connects accounts for anybody.'))
    }
  )

  /** The live session that this browser has opened. */
  async function findOwnSession({ cookies }: FastifyRequest): Promise<ConnectSession | undefined> {
    const cookie = cookies[name]
    return cookie === undefined
      ? undefined
      : await store.connectSessions.find({ browserHash: hashSecret(cookie) })
  }

  /** The session of a link that no other browser has opened. */
  async function findLinkedSession(
    token: string,
    own: ConnectSession | undefined
  ): Promise<ConnectSession | undefined> {
    const session = await store.connectSessions.find({ hash: hashSecret(token) })
    return session === undefined || (session.isOpened && session.id !== own?.id)
      ? undefined
      : session
  }

  async function sendLinkPage(
    request: FastifyRequest,
    reply: FastifyReply,
    session: ConnectSession,
    own: ConnectSession | undefined,
    token: string | undefined
  ): Promise<FastifyReply> {
    const isOwn = own?.id === session.id
    return await reply.headers(LEAVING_FORM_PAGE_HEADERS).send(
      renderLinkPage({
        products: providers.all.filter(({ id }) => session.products.includes(id)),
        email: (await requireUser(store, session.userId)).email,
        formToken: forms.createToken(request, reply),
        token: isOwn ? undefined : token,
        replaced:
          own === undefined || isOwn
            ? undefined
            : { id: own.id, email: (await requireUser(store, own.userId)).email }
      })
    )
  }

  /** Only the first browser that opens a link can use it. */
  async function openSession(
    token: string,
    reply: FastifyReply
  ): Promise<ConnectSession | undefined> {
    const key = randomToken()
    const session = await store.connectSessions.open(hashSecret(token), hashSecret(key))
    if (session !== undefined) {
      reply.setCookie(name, key, { ...cookieOptions, maxAge: SESSION_TTL_MS / 1000 })
    }
    return session
  }
}

/** @throws AppError `unauthenticated` for clients that do not accept HTML */
async function rejectLink(
  { headers: { accept = '' } }: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  if (!accept.includes('text/html')) throw new AppError('unauthenticated', LINK_EXPIRED)
  return await reply
    .code(401)
    .headers(PAGE_HEADERS)
    .send(renderMessagePage('Link expired', LINK_EXPIRED))
}
