import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { hasScope, type Principal } from '../../src/access/rules.ts'
import { serializeInitiator } from '../../src/access/principal-actor.ts'
import { AppError } from '../../src/lib/errors.ts'
import type { OAuthClient } from '../../src/oauth/authorize-url.ts'
import { deriveLoginQuotaKey } from '../../src/http/rate-limit-key.ts'
import { findExistingScopes } from '../../src/oauth/clients.ts'
import { findNamedUser } from '../../src/oauth/named-user.ts'
import { predictOwner, requirePossibleHint } from '../../src/oauth/resolve-user.ts'
import { requireReturnUrl, validateReturnUrl } from '../../src/http/return-url.ts'
import { parseUserHint, type UserHint } from '../../src/lib/user-hint.ts'
import type { Provider } from '../../src/providers/provider.ts'
import {
  MissingClientSettings,
  problemOrPageResponses,
  ReturnUrl,
  toTypeName
} from '../../src/http/schemas.ts'
import { frontendBaseUrl, publicBaseUrl } from '../../src/http/public-url.ts'
import { isNavigation } from '../../src/http/navigation.ts'
import { redirectToAtlassian } from './cookie.ts'

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
      description:
        '`true`: another Atlassian account may replace the connected one, if the person confirms it ' +
        'on the page that the answer names'
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
        summary: `Start a ${provider.title} login: returns the URL to open, or redirects to it`,
        description:
          'For a service key and in public mode the URL is that of Atlassian. For a person and a ' +
          'connect session it is a page of this service that names the user, works for a minute, ' +
          'and continues to Atlassian in the browser that opens it.',
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
          307: Type.Null({ description: 'Redirect to that URL' }),
          ...problemOrPageResponses(400, 403, 404, 422)
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
      const userId = restrictedUserId ?? (await resolveKeyUser(principal, hint))
      const isChange = change === 'true' || change === '1'
      const login = {
        client,
        callerState: state,
        returnUrl:
          (target === undefined ? undefined : resolveReturnUrl(target, request, client, log)) ??
          sessionReturnUrl(request),
        scope,
        userId: userId ?? null,
        quotaKey: deriveLoginQuotaKey(
          principal,
          request.ip,
          hint === undefined ? undefined : JSON.stringify(hint)
        ),
        initiator: serializeInitiator(principal),
        // A prediction: the callback decides which user it is.
        existingScopes: await findExistingScopes(
          store,
          oauthClients,
          userId ?? (hint === undefined ? 'first' : await predictOwner(store, hint)),
          client
        ),
        changeAccount: isChange
      }
      const answer = { provider: provider.id, ...(isConfigured ? {} : { missing }) }
      // Whoever has Atlassian's URL can give it to somebody else, whose consent then counts for this
      // user (RFC 9700 section 4.7). A person gets a page instead, which says for whom it connects.
      if (restrictedUserId !== undefined || isChange) {
        const url =
          `${publicBaseUrl(app, request, client.redirectUri)}/connect/continue` +
          `?ticket=${await flow.prepare(login)}`
        return isRedirect ? await reply.redirect(url, 307) : { url, ...answer }
      }
      if (!isRedirect) return { url: await flow.startUnbound(login), ...answer }
      return await redirectToAtlassian(reply, await flow.startBound(login), client, 307)
    }
  )

  /**
   * The user whom a service key's login is for, if that is decided before the callback.
   *
   * @throws AppError `validation_failed` in protected mode if the state names nobody, and as
   *   `findNamedUser`
   */
  async function resolveKeyUser(principal: Principal, hint: UserHint): Promise<number | undefined> {
    if (principal.kind !== 'key') return undefined
    if (hint === undefined && !app.config.publicAccess) {
      const detail =
        'Name the user whose account is connected, for example `state=user_id=1`: ' +
        'a service key has no first user.'
      throw new AppError('validation_failed', detail, { errors: [{ pointer: '/state', detail }] })
    }
    if (typeof hint !== 'object' || !('email' in hint) || hasScope(principal, 'users:write')) {
      return undefined
    }
    return (await findNamedUser(store, principal, hint.email, null)).id
  }

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
