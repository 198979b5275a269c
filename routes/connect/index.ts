import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hashOf } from '../../src/access/secrets.ts'
import { AppError } from '../../src/lib/errors.ts'
import { tellingRedirectUri } from '../../src/http/public-url.ts'
import { issueSecret } from '../../src/oauth/state.ts'
import { Problem, problems } from '../../src/http/schemas.ts'
import { SESSION_LIFE_MS, type Session } from '../../src/store/repositories/connect-sessions.ts'
import { ownAddress } from '../auth/addresses.ts'
import { choice, over, PAGE_HEADERS } from './page.ts'

const OVER =
  'This link is over, or another browser has opened it. Ask for a new one where you came from.'

/** Where a browser opens a connect session's link. The token is taken out of the address at once, and the link is of no more use. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const {
    store,
    sessionCookie: { name, secure }
  } = app
  const redirectUri = tellingRedirectUri(app.config)

  app.get(
    '',
    {
      config: { access: 'open', limit: 'login' },
      // Whoever only looks whether the link is there, as programs that show previews do, does not use it up.
      exposeHeadRoute: false,
      schema: {
        tags: ['Connections'],
        summary:
          'Open the link of a connect session: on to the login of its product, or a page to choose one',
        querystring: Type.Object(
          {
            token: Type.Optional(
              Type.String({
                maxLength: 128,
                format: 'text',
                description: 'Of the session; without it: the session that this browser has opened'
              })
            )
          },
          { additionalProperties: false }
        ),
        response: {
          200: {
            description: 'A page with one link for each product',
            content: { 'text/html': { schema: Type.String() } }
          },
          303: Type.Null({ description: 'On, without the token' }),
          ...problems(422),
          401: {
            description: 'The link is over, or another browser has opened it: a page for browsers',
            content: {
              'application/problem+json': { schema: Problem },
              'text/html': { schema: Type.String() }
            }
          }
        }
      }
    },
    async (request, reply) => {
      const { token } = request.query
      const base = ownAddress(app, request, redirectUri)
      const cookie = request.cookies[name]
      const opened =
        cookie === undefined
          ? undefined
          : await store.sessions.find({ browserHash: hashOf(cookie) })
      if (token === undefined) {
        if (opened === undefined) return await refuse(request, reply)
        return await reply
          .type('text/html; charset=utf-8')
          .headers(PAGE_HEADERS)
          .send(choice(opened.products))
      }
      const session = await begin(token, opened, (key) => {
        reply.setCookie(name, key, {
          path: '/',
          httpOnly: true,
          sameSite: 'lax',
          secure,
          maxAge: SESSION_LIFE_MS / 1000
        })
      })
      if (session === undefined) return await refuse(request, reply)
      const [only, another] = session.products
      return await reply.redirect(
        another === undefined && only !== undefined
          ? `${base}/auth/${only}/login?redirect=true`
          : `${base}/connect`,
        303
      )
    }
  )

  /** The first browser that opens a link has it; opened again by the same one, it leads on. */
  async function begin(
    token: string,
    opened: Session | undefined,
    keep: (key: string) => void
  ): Promise<Session | undefined> {
    const key = issueSecret()
    const session = await store.sessions.open(hashOf(token), hashOf(key))
    if (session !== undefined) {
      keep(key)
      return session
    }
    const known = await store.sessions.find({ hash: hashOf(token) })
    return known?.id === opened?.id ? known : undefined
  }
}

export default routes

/** @throws AppError `unauthenticated` for whoever does not read pages */
async function refuse(
  { headers: { accept = '' } }: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  if (!accept.includes('text/html')) throw new AppError('unauthenticated', OVER)
  return await reply
    .code(401)
    .type('text/html; charset=utf-8')
    .headers(PAGE_HEADERS)
    .send(over(OVER))
}
