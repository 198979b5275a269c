import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { escapeHtml, PAGE_HEADERS, renderPage } from '../../src/http/html.ts'
import type { ErrorCode } from '../../src/lib/errors.ts'
import type { ProviderRegistry } from '../../src/providers/registry.ts'

const ERROR_MESSAGES: Partial<Record<ErrorCode, string>> = {
  access_denied: 'Consent was not given.',
  expired_state: 'The login took longer than ten minutes.',
  replayed_state: 'This login was already used.',
  unknown_state: 'This login was not started here.',
  wrong_product: 'The login was started for another product.',
  wrong_browser: 'The login was started in another browser, or under another URL of this service.',
  account_changed: 'This is not the Atlassian account that is connected. Nothing was changed.',
  user_not_found: 'The login names a user that does not exist.',
  oauth_misconfigured:
    'Atlassian rejects the client settings of this service. The operator has to correct them.',
  invalid_code: 'Atlassian rejected the login.',
  upstream_unreachable: 'Atlassian cannot be reached.',
  upstream_timeout: 'Atlassian did not respond in time.',
  upstream_failed: 'Atlassian returned an error.',
  upstream_rate_limited: 'Atlassian is limiting the rate of requests.'
}

const OutcomeQuery = Type.Object({
  provider: Type.Optional(Type.String({ maxLength: 32 })),
  status: Type.Optional(Type.String({ maxLength: 32 })),
  user_id: Type.Optional(Type.String({ maxLength: 32 })),
  error: Type.Optional(Type.String({ maxLength: 64 })),
  message: Type.Optional(Type.String({ maxLength: 500 })),
  confirm_url: Type.Optional(Type.String({ maxLength: 8192 })),
  request_id: Type.Optional(Type.String({ maxLength: 64 }))
})

/**
 * Outcome of a login, for services without a front end. Links are relative, so they work under
 * any prefix.
 */
export const outcomePages: FastifyPluginAsyncTypebox = async (app) => {
  const { providers } = app
  for (const path of [...providers.all.map(({ id }) => `/${id}`), '/callback']) {
    app.get(
      path,
      {
        config: { access: 'open', limit: 'none' },
        schema: { hide: true, querystring: OutcomeQuery }
      },
      async ({ query }, reply) => {
        reply.headers(PAGE_HEADERS)
        const provider = providers.find(query.provider ?? path.slice(1))
        const title = provider?.title ?? 'Atlassian'
        return query.status === 'success'
          ? renderPage(
              `${title} is connected`,
              renderSuccess(providers, query.user_id ?? ''),
              'success'
            )
          : renderPage(
              query.error === 'account_changed'
                ? `The ${title} connection is unchanged`
                : `${title} is not connected`,
              renderFailure((provider ?? providers.fallback).id, query),
              'error'
            )
      }
    )
  }
}

function renderSuccess(providers: ProviderRegistry, userId: string): string {
  const id = /^[1-9]\d{0,15}$/.test(userId) ? userId : ''
  const query = id === '' ? '' : `?owner_id=${id}`
  const links = providers.all.flatMap(({ id: product, title, collections }) =>
    collections.map(
      ({ name }) =>
        `<li><a href="../integrations/${product}/${name}/fetch${query}">Copied ${title} ${name}</a></li>`
    )
  )
  const connectionsLink =
    id === '' ? '' : `<li><a href="../users/${id}/connections">Connections</a></li>`
  return `<p>The first sync has started. You can close this page.
If you consented for several sites, select one first.</p>
<ul>${links.join('')}${connectionsLink}<li><a href="../docs">API documentation</a></li></ul>`
}

function renderFailure(
  product: string,
  { error, request_id: requestId, confirm_url: confirmUrl }: Static<typeof OutcomeQuery>
): string {
  const login = `../auth/${product}/login?redirect=true`
  const links =
    error === 'account_changed'
      ? [
          [
            `${login}&change_account=true${stateParameter(confirmUrl)}`,
            'Connect the other account instead'
          ],
          [`${login}${stateParameter(confirmUrl)}`, 'Log in with the connected account']
        ]
      : [[login, 'Try again']]
  const request = requestId === undefined ? [] : [`request ${requestId}`]
  return `<p>${errorMessage(error)}</p>
${links.map(([href = '', text]) => `<p><a href="${escapeHtml(href)}">${text}</a></p>`).join('\n')}
<p class="small">${escapeHtml([error ?? '', ...request].join(' · '))}</p>`
}

/** The user of the login. Anyone can write the URL, so nothing else of it is used. */
function stateParameter(confirmUrl: string | undefined): string {
  const state = URL.parse(confirmUrl ?? '')?.searchParams.get('state') ?? null
  return state === null ? '' : `&state=${encodeURIComponent(state)}`
}

/** The message for an error code. Ignores `message` of the URL, because anyone can write one. */
function errorMessage(error: string | undefined): string {
  return (
    (Object.hasOwn(ERROR_MESSAGES, error ?? '') ? ERROR_MESSAGES[error as ErrorCode] : undefined) ??
    'The login failed.'
  )
}
