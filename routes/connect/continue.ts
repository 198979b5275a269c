import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LEAVING_FORM_PAGE_HEADERS } from '../../src/http/html.ts'
import { refusePrefetch } from '../../src/http/navigation.ts'
import { publicBaseUrl } from '../../src/http/public-url.ts'
import { problemOrPageResponses } from '../../src/http/schemas.ts'
import { AppError } from '../../src/lib/errors.ts'
import { describeOwner } from '../../src/oauth/resolve-user.ts'
import { redirectToAtlassian } from '../auth/cookie.ts'
import { createFormBinding } from './form.ts'
import { renderContinuePage } from './pages.ts'

/**
 * Continues a login that a person or a connect session has started: the page names the user, and its
 * form starts the login in this browser. Fetching the page changes nothing.
 */
export const continueRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { flow, oauthClients, providers, store } = app
  const forms = createFormBinding(app)

  app.get(
    '/continue',
    {
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      exposeHeadRoute: false,
      schema: {
        tags: ['OAuth'],
        operationId: 'continueLogin',
        summary: 'Page that says whom a login connects, and continues to Atlassian',
        querystring: Type.Object({
          ticket: Type.String({
            maxLength: 128,
            format: 'text',
            description: 'From the URL that the login returned. Valid for a minute, and once'
          })
        }),
        response: {
          200: {
            description: 'Page with a button',
            content: { 'text/html': { schema: Type.String() } }
          },
          // 400: the ticket has expired or was used.
          ...problemOrPageResponses(400, 403, 422)
        }
      }
    },
    async (request, reply) => {
      refusePrefetch(request)
      const { ticket } = request.query
      const login = await flow.findPrepared(ticket)
      if (login === undefined) throw expiredTicketError()
      return await reply.headers(LEAVING_FORM_PAGE_HEADERS).send(
        renderContinuePage(providers.get(login.provider), {
          email: await describeOwner(store, login),
          isChange: login.changeAccount === 1,
          form_token: forms.createToken(request, reply),
          ticket
        })
      )
    }
  )

  app.post(
    '/continue',
    {
      // The form carries a token that only the browser of the page was given.
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      schema: { hide: true }
    },
    async (request, reply) => {
      const ticket = forms.readForm(request).get('ticket') ?? ''
      const prepared = await flow.findPrepared(ticket)
      if (prepared === undefined) throw expiredTicketError()
      const client = oauthClients.findForLogin(prepared.provider, publicBaseUrl(app, request))
      const started =
        client?.clientId === prepared.clientId
          ? await flow.startPrepared(ticket, client)
          : undefined
      if (started === undefined) throw expiredTicketError()
      return await redirectToAtlassian(reply, started, prepared, 303)
    }
  )
}

function expiredTicketError(): AppError {
  return new AppError(
    'expired_state',
    'This login has expired or was used already. Start it again where you came from.'
  )
}
