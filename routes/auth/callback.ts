import { getClientSettings } from '../../src/config/config.ts'
import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { CallbackRequest, CallbackResult } from '../../src/oauth/flow.ts'
import { appendOutcome } from '../../src/http/return-url.ts'
import type { ConnectionState } from '../../src/model/states.ts'
import { RESULT_TTL_MS } from '../../src/oauth/login-result.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { problemOrPageResponses, toTypeName } from '../../src/http/schemas.ts'
import { frontendBaseUrl, publicBaseUrl } from '../../src/http/public-url.ts'
import { refusePrefetch } from '../../src/http/navigation.ts'
import { createFlowCookie } from './cookie.ts'

const TextParameter = (description: string) =>
  Type.Optional(Type.String({ maxLength: 8192, description }))

/** Unknown parameters are allowed: Atlassian may add some. */
const CallbackQuery = Type.Object({
  code: TextParameter('Authorization code'),
  state: TextParameter('State of the login'),
  error: TextParameter('OAuth error code, such as `access_denied`'),
  error_description: TextParameter('Ignored')
})

/**
 * OAuth callback.
 *
 * @param provider undefined for the callback of all products: the login that `state` belongs to names one
 */
export const callbackRoute: FastifyPluginAsyncTypebox<{ provider: Provider | undefined }> = async (
  app,
  { provider }
) => {
  const { oauthClients, flow, providers, store, syncWorker } = app
  const title = provider?.title ?? providers.all.map((each) => each.title).join(' or ')

  app.get(
    '',
    {
      // The state of the login authenticates the request.
      config: { access: 'open', limit: 'login', unknownQuery: 'ignored' },
      // HEAD, as link previews send it, must not exchange the code.
      exposeHeadRoute: false,
      schema: {
        tags: ['OAuth'],
        operationId: `finish${toTypeName(provider?.id ?? 'Atlassian')}Login`,
        summary: `Finish a ${title} login`,
        description: 'Atlassian redirects the browser here.',
        querystring: CallbackQuery,
        response: {
          302: Type.Null({
            description:
              'Redirect to the front end, with `status=success` and `connection_state`, or with ' +
              '`status=error`'
          }),
          ...problemOrPageResponses(400, 403, 404, 422, 502)
        }
      }
    },
    async (request, reply) => {
      refusePrefetch(request)
      const logFor = (id: string | undefined) => request.log.child({ provider: id })
      logFor(provider?.id).info({ event: 'oauth_callback_received', ...request.getLogFields() })
      const result = await flow.finishLogin({
        provider: provider?.id,
        query: emptyToUndefined(request.query),
        // The cookie is not cleared: a repeated callback has to succeed too, and the page after it
        // shows this browser its connection.
        readBindingSecret: (flowName, redirectUri) => {
          const { name, options } = createFlowCookie(flowName, redirectUri)
          const secret = request.cookies[name]
          if (secret !== undefined) {
            reply.setCookie(name, secret, { ...options, maxAge: RESULT_TTL_MS / 1000 })
          }
          return secret
        },
        fallbackClient: () =>
          oauthClients.findForLogin(
            (provider ?? providers.fallback).id,
            publicBaseUrl(app, request)
          ),
        logFor
      })
      const log = logFor(result.provider)
      if ('error' in result.outcome) {
        log.warn({
          event: 'oauth_callback_error',
          error_code: result.outcome.error.code,
          err: result.outcome.error
        })
        if (shouldSendJson(request)) {
          throw result.outcome.error.withDetails({ confirmUrl: buildConfirmUrl(result, request) })
        }
      } else if (result.outcome.isFirst) {
        await syncWorker
          .enqueueRun(result.outcome.userId, providers.get(result.provider), log)
          .catch((err: unknown) => {
            log.error({ event: 'sync_error', err }, 'The first sync could not be queued.')
          })
      }
      const location = buildRedirectUrl(
        result,
        request,
        'error' in result.outcome
          ? undefined
          : (await store.connections.get(result.outcome.userId, result.provider))?.state
      )
      log.info({
        event: 'frontend_redirect',
        target: new URL(location).origin,
        status: 'error' in result.outcome ? 'error' : 'success'
      })
      return await reply.redirect(location, 302)
    }
  )

  /** URL of the login that may replace the connected account by another one. */
  function buildConfirmUrl(
    { provider: id, redirectUri, returnUrl, callerState, outcome }: CallbackResult,
    request: FastifyRequest
  ): string | undefined {
    if (!('error' in outcome) || outcome.error.code !== 'account_changed') return undefined
    const query = {
      redirect: 'true',
      change_account: 'true',
      state: callerState,
      return_url: returnUrl
    }
    const parameters = Object.entries(query).flatMap(([name, value]) =>
      value === null ? [] : [`${name}=${encodeURIComponent(value)}`]
    )
    return `${publicBaseUrl(app, request, redirectUri)}/auth/${id}/login?${parameters.join('&')}`
  }

  /**
   * URL at the front end; its page reads `status`, and after a failure `error` and `message`.
   * `connection_state` says whether a login that succeeded is enough to copy anything.
   */
  function buildRedirectUrl(
    { provider: id, redirectUri, returnUrl, callerState, outcome }: CallbackResult,
    request: FastifyRequest,
    connectionState: ConnectionState | undefined
  ): string {
    const { returnPath, returnQuery } = providers.get(id)
    const baseUrl = frontendBaseUrl(
      app,
      request,
      redirectUri ?? getClientSettings(app.config, id).redirectUri
    )
    if ('error' in outcome) {
      return appendOutcome(returnUrl ?? `${baseUrl}/oauth/${id}`, {
        provider: id,
        status: 'error',
        error: outcome.error.code,
        message: outcome.error.message,
        confirm_url: buildConfirmUrl(
          { provider: id, redirectUri, returnUrl, callerState, outcome },
          request
        ),
        request_id: request.id,
        state: callerState ?? undefined
      })
    }
    return appendOutcome(returnUrl ?? baseUrl + returnPath, {
      ...returnQuery,
      status: 'success',
      user_id: String(outcome.userId),
      state: callerState ?? undefined,
      connection_state: connectionState
    })
  }
}

/** Treats an empty parameter as absent. */
function emptyToUndefined({
  code,
  state,
  error
}: Static<typeof CallbackQuery>): CallbackRequest['query'] {
  return { code: code || undefined, state: state || undefined, error: error || undefined }
}

function shouldSendJson({ headers: { accept = '' } }: FastifyRequest): boolean {
  return accept.includes('application/json') && !accept.includes('text/html')
}
