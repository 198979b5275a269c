import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { hashOf } from '../../src/access/secrets.ts'
import { AppError } from '../../src/errors.ts'
import { issueSecret } from '../../src/oauth/state.ts'
import { problems } from '../../src/schemas.ts'
import type { Session } from '../../src/store/sessions.ts'
import { ownAddress } from '../auth/addresses.ts'
import { SESSION_COOKIE } from '../auth/cookie.ts'
import { choice } from './page.ts'

/** Where a browser opens a connect session's link. The token is taken out of the address at once, and the link is of no more use. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { store } = app

  app.get('', {
    config: { access: 'open', limit: 'login' },
    schema: {
      tags: ['Connections'],
      summary: 'Open the link of a connect session: on to the login of its product, or a page to choose one',
      querystring: Type.Object({ token: Type.Optional(Type.String({ maxLength: 128, format: 'text', description: 'Of the session; without it: the session that this browser has opened' })) }, { additionalProperties: false }),
      response: { 200: { description: 'A page with one link for each product', content: { 'text/html': { schema: Type.String() } } }, 303: Type.Null({ description: 'On, without the token' }), ...problems(401, 422) }
    }
  }, async (request, reply) => {
    const { token } = request.query
    const base = ownAddress(app, request, app.config.clients.jira.redirectUri)
    const isSecure = base.startsWith('https:')
    const name = `${isSecure ? '__Host-' : ''}${SESSION_COOKIE}`
    const cookie = request.cookies[name]
    const opened = cookie === undefined ? undefined : await store.sessions.find({ browserHash: hashOf(cookie) })
    if (token === undefined) {
      if (opened === undefined) throw notGood()
      return await reply.type('text/html; charset=utf-8').headers(choice.headers).send(choice.page(opened.products))
    }
    const session = await begin(token, opened, (key, { expiresAt }) => {
      reply.setCookie(name, key, { path: '/', httpOnly: true, sameSite: 'lax', secure: isSecure, maxAge: Math.max(1, Math.floor((expiresAt.getTime() - Date.now()) / 1000)) })
    })
    const [only, another] = session.products
    return await reply.redirect(another === undefined && only !== undefined ? `${base}/auth/${only}/login?redirect=true` : `${base}/connect`, 303)
  })

  /** The first browser that opens a link has it; opened again by the same one, it leads on. */
  async function begin (token: string, opened: Session | undefined, keep: (key: string, session: Session) => void): Promise<Session> {
    const key = issueSecret()
    const session = await store.sessions.open(hashOf(token), hashOf(key))
    if (session !== undefined) {
      keep(key, session)
      return session
    }
    const known = await store.sessions.find({ hash: hashOf(token) })
    if (known === undefined || known.id !== opened?.id) throw notGood()
    return known
  }
}

export default routes

function notGood (): AppError {
  return new AppError('unauthenticated', 'This link is over, or another browser has opened it. Ask for a new one where you came from.')
}
