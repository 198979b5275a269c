import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { CallbackRequest, Ending } from '../../src/oauth/flow.ts'
import { withOutcome } from '../../src/http/return-url.ts'
import { providerOf, type Provider, type ProviderId } from '../../src/providers/index.ts'
import { problems } from '../../src/http/schemas.ts'
import { frontEnd, ownAddress } from './addresses.ts'
import { cookieFor } from './cookie.ts'

const Word = (description: string) => Type.Optional(Type.String({ maxLength: 8192, description }))

/** Not closed: what else Atlassian may send along is its own business. */
const CallbackQuery = Type.Object({
  code: Word('The authorization code'),
  state: Word('The state that the login was started with'),
  error: Word('Why there is no code, such as access_denied'),
  error_description: Word('Not shown to anybody')
})

/**
 * Where Atlassian sends the browser back to.
 *
 * @param provider undefined: the callback that serves every product, where the state says which
 */
export const callback: FastifyPluginAsyncTypebox<{ provider: Provider | undefined }> = async (
  app,
  { provider }
) => {
  const { clients, flow, sync } = app

  app.get(
    '',
    {
      // Its state says whose it is.
      config: { access: 'open', limit: 'login' },
      schema: {
        tags: ['OAuth'],
        summary: `Where Atlassian returns the browser after a ${provider?.title ?? 'Jira or Confluence'} login`,
        querystring: CallbackQuery,
        response: {
          302: Type.Null({ description: 'To the front end, with status=success or status=error' }),
          ...problems(400, 404, 422, 502)
        }
      }
    },
    async (request, reply) => {
      const logFor = (id: ProviderId | undefined) => request.log.child({ provider: id })
      logFor(provider?.id).info({ event: 'oauth_callback_received', ...request.trace() })
      const ending = await flow.finish({
        provider: provider?.id,
        query: filled(request.query),
        // Not cleared afterwards: a second hit of the same callback has to pass too. It ends with the flow.
        browserKey: (flowName, redirectUri) =>
          request.cookies[cookieFor(flowName, redirectUri).name],
        fallback: () => clients.forLogin(provider?.id ?? 'jira', ownAddress(app, request)),
        logFor
      })
      const log = logFor(ending.provider)
      if ('error' in ending.result) {
        log.warn({
          event: 'oauth_callback_error',
          error_code: ending.result.error.code,
          err: ending.result.error
        })
        if (wantsJson(request)) {
          throw ending.result.error.with({ confirmUrl: confirmUrl(ending, request) })
        }
      } else if (ending.result.first) {
        await sync
          .start(ending.result.userId, providerOf(ending.provider), log)
          .catch((err: unknown) => {
            log.error({ event: 'sync_error', err }, 'The first sync could not be started.')
          })
      }
      const location = destination(ending, request)
      log.info({
        event: 'frontend_redirect',
        target: new URL(location).origin,
        status: 'error' in ending.result ? 'error' : 'success'
      })
      return await reply.redirect(location, 302)
    }
  )

  /** Where somebody confirms that another account shall take the place of the connected one: a login that is allowed to. */
  function confirmUrl(
    { provider: id, redirectUri, returnUrl, callerState, result }: Ending,
    request: FastifyRequest
  ): string | undefined {
    if (!('error' in result) || result.error.code !== 'account_changed') return undefined
    const query = {
      redirect: 'true',
      change_account: 'true',
      state: callerState,
      return_url: returnUrl
    }
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === null ? [] : [`${name}=${encodeURIComponent(value)}`]
    )
    return `${ownAddress(app, request, redirectUri)}/auth/${id}/login?${given.join('&')}`
  }

  /** Browsers return to the front end in either case; its pages read `status`, and `error` and `message` on a failure. */
  function destination(
    { provider: id, redirectUri, returnUrl, callerState, result }: Ending,
    request: FastifyRequest
  ): string {
    const { returnPath, returnQuery } = providerOf(id)
    const base = frontEnd(app, request, redirectUri ?? app.config.clients[id].redirectUri)
    if ('error' in result) {
      return withOutcome(returnUrl ?? `${base}/oauth/${id}`, {
        provider: id,
        status: 'error',
        error: result.error.code,
        message: result.error.message,
        confirm_url: confirmUrl(
          { provider: id, redirectUri, returnUrl, callerState, result },
          request
        ),
        request_id: request.id
      })
    }
    return withOutcome(returnUrl ?? base + returnPath, {
      ...returnQuery,
      status: 'success',
      user_id: String(result.userId),
      state: callerState ?? undefined
    })
  }
}

/** A parameter without a value says as little as none. */
function filled({ code, state, error }: Static<typeof CallbackQuery>): CallbackRequest['query'] {
  return { code: code || undefined, state: state || undefined, error: error || undefined }
}

function wantsJson({ headers: { accept = '' } }: FastifyRequest): boolean {
  return accept.includes('application/json') && !accept.includes('text/html')
}
