import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { serializeInitiator } from '../../src/access/principal-actor.ts'
import { AppError } from '../../src/lib/errors.ts'
import type { OAuthClient } from '../../src/oauth/authorize-url.ts'
import { deriveLoginQuotaKey } from '../../src/http/rate-limit-key.ts'
import { FLOW_LIFETIME_MS } from '../../src/oauth/flow.ts'
import { predictOwner, requirePossibleHint } from '../../src/oauth/resolve-user.ts'
import { requireReturnUrl, validateReturnUrl } from '../../src/http/return-url.ts'
import { parseUserHint } from '../../src/lib/user-hint.ts'
import type { Provider } from '../../src/providers/provider.ts'
import {
  MissingClientSettings,
  problemOrPageResponses,
  ReturnUrl,
  toTypeName
} from '../../src/http/schemas.ts'
import { frontendBaseUrl, publicBaseUrl } from '../../src/http/public-url.ts'
import { isNavigation } from '../../src/http/navigation.ts'
import { createFlowCookie } from './cookie.ts'

const LoginQuery = Type.Object({
  redirect: Type.Optional(
    Type.Unsafe<'true' | 'false' | '1' | '0'>({
      type: 'string',
      enum: ['true', 'false', '1', '0'],
      description:
        '`true`: redirect. Default: JSON for programs, a redirect for a browser that navigates here'
    })
  ),
  state: Type.Optional(
    Type.String({
      maxLength: 512,
      format: 'text',
      description:
        'State of the caller, returned unchanged. It may name the user: `user_id=1`, ' +
        '`email=ada@example.com`, or JSON with either',
      example: 'user_id=1'
    })
  ),
  scope: Type.Optional(
    Type.String({ maxLength: 2048, format: 'text', description: 'Narrows the configured scopes' })
  ),
  change_account: Type.Optional(
    Type.Unsafe<'true' | 'false' | '1' | '0'>({
      type: 'string',
      enum: ['true', 'false', '1', '0'],
      description: '`true`: another Atlassian account may replace the connected one'
    })
  ),
  return_url: Type.Optional(ReturnUrl)
})

export const loginRoute: FastifyPluginAsyncTypebox<{ provider: Provider }> = async (
  app,
  { provider }
) => {
  const { oauthClients, flow, store } = app
  const missing = oauthClients.findMissingSettings(provider.id)
  const isConfigured = !Object.values(missing).includes(true)

  app.get(
    '',
    {
      config: {
        access: { scope: 'connections:write', owner: 'caller', session: true },
        limit: 'login',
        unknownQuery: 'ignored'
      },
      schema: {
        tags: ['OAuth'],
        operationId: `start${toTypeName(provider.id)}Login`,
        summary: `Start a ${provider.title} login: returns the authorization URL, or redirects to it`,
        querystring: LoginQuery,
        response: {
          200: Type.Object(
            {
              url: Type.String({
                example:
                  'https://auth.atlassian.com/authorize?audience=api.atlassian.com&client_id=…'
              }),
              provider: Type.Literal(provider.id),
              missing: Type.Optional(MissingClientSettings)
            },
            { title: `${toTypeName(provider.id)}Login` }
          ),
          307: Type.Null({ description: 'Redirect to the authorization URL' }),
          ...problemOrPageResponses(400, 404, 422)
        }
      }
    },
    async (request, reply) => {
      const { state = null, scope, return_url: target, change_account: change } = request.query
      const log = request.log.child({ provider: provider.id })
      log.info({ event: 'oauth_login_start', ...request.getLogFields() })
      const { principal } = request
      if (principal.kind === 'session' && !principal.products.includes(provider.id)) {
        throw new AppError('forbidden', `This connect session is not for ${provider.title}.`)
      }
      const client = oauthClients.findForLogin(provider.id, publicBaseUrl(app, request))
      if (client === undefined) {
        throw new AppError('oauth_not_configured', describeMissingSettings(provider, missing), {
          missing
        })
      }

      const isRedirect = shouldRedirect(request)
      const restrictedUserId = request.restrictedUserId()
      const hint = restrictedUserId === undefined ? parseUserHint(state) : undefined
      await requirePossibleHint(store, hint)
      const { url, flowName, bindingSecret } = await flow.startLogin({
        client,
        callerState: state,
        returnUrl:
          (target === undefined ? undefined : resolveReturnUrl(target, request, client, log)) ??
          sessionReturnUrl(request),
        scope,
        bindToBrowser: isRedirect,
        userId: restrictedUserId ?? null,
        quotaKey: deriveLoginQuotaKey(
          principal,
          request.ip,
          hint === undefined ? undefined : JSON.stringify(hint)
        ),
        initiator: serializeInitiator(principal),
        // A prediction: the callback decides which user it is.
        existingScopes: await findExistingScopes(
          restrictedUserId ?? (await predictOwner(store, hint)),
          client
        ),
        changeAccount: change === 'true' || change === '1'
      })
      if (!isRedirect) {
        return await reply
          .code(200)
          .send({ url, provider: provider.id, ...(isConfigured ? {} : { missing }) })
      }
      const cookie = createFlowCookie(flowName, client.redirectUri)
      reply.setCookie(cookie.name, bindingSecret ?? '', {
        ...cookie.options,
        maxAge: FLOW_LIFETIME_MS / 1000
      })
      log.info({ event: 'oauth_login_redirect', target: new URL(url).origin })
      return await reply.redirect(url, 307)
    }
  )

  /**
   * Without a front end, a URL that cannot be used is ignored: the pages of this service say how
   * the login ended.
   *
   * @throws AppError `validation_failed` if it is not on the front end that is configured
   */
  function resolveReturnUrl(
    target: string,
    request: FastifyRequest,
    { redirectUri }: OAuthClient,
    log: FastifyBaseLogger
  ): string | undefined {
    const baseUrl = frontendBaseUrl(app, request, redirectUri)
    if (app.config.frontendUrl !== null) return requireReturnUrl(target, baseUrl)
    const url = validateReturnUrl(target, baseUrl)
    if (url === undefined) {
      log.warn(
        { event: 'return_url_ignored' },
        'APP_FRONTEND_URL is not set, so the return_url of another origin is ignored.'
      )
    }
    return url
  }

  /**
   * The scopes that this user's connections to other products have from the same client, as far as
   * it still requests them. The new consent replaces the old one, so the login requests them again.
   */
  async function findExistingScopes(
    userId: number | undefined,
    { clientId }: OAuthClient
  ): Promise<string[]> {
    const configuredScopes = oauthClients.listScopes(clientId)
    const scopes =
      userId === undefined
        ? []
        : await store.connections.findScopesOfOtherConnections(userId, clientId, provider.id)
    return scopes.filter((scope) => configuredScopes.includes(scope))
  }
}

/** Redirects browsers that navigate here; scripts get JSON. */
function shouldRedirect(request: FastifyRequest): boolean {
  const { redirect } = request.query as { redirect?: string }
  return redirect === undefined ? isNavigation(request) : redirect === 'true' || redirect === '1'
}

/** The return URL of the connect session, if one makes the request. */
function sessionReturnUrl({ principal }: FastifyRequest): string | null {
  return principal.kind === 'session' ? principal.returnUrl : null
}

function describeMissingSettings(
  { id, title }: Provider,
  missing: Record<string, boolean>
): string {
  const names = Object.entries(missing)
    .filter(([, isMissing]) => isMissing)
    .map(([name]) => `${id.toUpperCase()}_OAUTH_${name.toUpperCase()}`)
  return `${title} OAuth is not configured: ${names.join(', ')} missing.`
}
