import { createHash } from 'node:crypto'
import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { ErrorCode } from '../../src/lib/errors.ts'
import { providers } from '../../src/providers/index.ts'

const STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 12vh auto 4rem; padding: 0 1.25rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem }
h1::before { content: ''; display: inline-block; width: .7em; height: .7em; margin-right: .5em; border-radius: 50%; background: #1f845a }
.error h1::before { background: #c9372c }
p { margin: .75rem 0 }
a { color: inherit; text-underline-offset: .2em }
a:focus-visible { outline: .2rem solid #388bff; outline-offset: .2rem }
.small { opacity: .75; font-size: .9rem; overflow-wrap: anywhere }
`
const CSP = `default-src 'none'; img-src data:; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

const ERROR_MESSAGES: Partial<Record<ErrorCode, string>> = {
  access_denied: 'Consent was not given.',
  expired_state: 'The login took longer than ten minutes.',
  replayed_state: 'This login has been used already.',
  unknown_state: 'This login was not started here.',
  wrong_product: 'The login was started for the other product.',
  wrong_browser:
    'The login was started in another browser, or under another address of this service.',
  account_changed: 'This is another Atlassian account than the connected one. Nothing was changed.',
  user_not_found: 'The login names a user that does not exist.',
  oauth_misconfigured: 'Atlassian rejects this service. Its operator has to correct its settings.',
  invalid_code: 'Atlassian did not accept the login.',
  upstream_unreachable: 'Atlassian cannot be reached.',
  upstream_timeout: 'Atlassian did not answer in time.',
  upstream_failed: 'Atlassian has trouble of its own.',
  upstream_rate_limited: 'Atlassian limits the rate of calls at the moment.'
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

/** Where browsers land when no front end is configured. Plain HTML, no script; links are relative, so that they work behind any prefix. */
export const outcomePages: FastifyPluginAsyncTypebox = async (app) => {
  for (const path of [...providers.map(({ id }) => `/${id}`), '/callback']) {
    app.get(
      path,
      {
        config: { access: 'open', limit: 'none' },
        schema: { hide: true, querystring: OutcomeQuery }
      },
      async ({ query }, reply) => {
        reply.type('text/html; charset=utf-8').header('content-security-policy', CSP)
        const provider = providers.find(({ id }) => id === (query.provider ?? path.slice(1)))
        const title = provider?.title ?? 'Atlassian'
        return query.status === 'success'
          ? renderPage(`${title} is connected`, '', renderSuccess(query.user_id ?? ''))
          : renderPage(
              query.error === 'account_changed'
                ? `${title} stays as it was`
                : `${title} is not connected`,
              'error',
              renderFailure(provider?.id ?? 'jira', query)
            )
      }
    )
  }
}

function renderSuccess(userId: string): string {
  const id = /^[1-9]\d{0,15}$/.test(userId) ? userId : ''
  const links = providers.flatMap(({ id: product, title, collections }) =>
    collections.map(
      ({ name }) =>
        `<li><a href="../integrations/${product}/${name}/fetch${id === '' ? '' : `?owner_id=${id}`}">The copied ${title} ${name}</a></li>`
    )
  )
  const connectionsLink =
    id === ''
      ? ''
      : `<li><a href="../users/${id}/connections">How the connections are doing</a></li>`
  return `<p>The copy has been started. It goes on by itself; this page can be closed. Where the consent reaches several sites, one has to be chosen first.</p>
<ul>${links.join('')}${connectionsLink}<li><a href="../docs">The API</a></li></ul>`
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
            'Connect the other account in its place'
          ],
          [`${login}${stateParameter(confirmUrl)}`, 'Log in with the first account']
        ]
      : [[login, 'Try again']]
  return `<p>${errorMessage(error)}</p>
${links.map(([href = '', text]) => `<p><a href="${escapeHtml(href)}">${text}</a></p>`).join('\n')}
<p class="small">${escapeHtml(error ?? '')}${requestId === undefined ? '' : ` · request ${escapeHtml(requestId)}`}</p>`
}

/** Whom the login was for. Of the address, which anybody can write, no more is taken than that. */
function stateParameter(confirmUrl: string | undefined): string {
  const state = URL.parse(confirmUrl ?? '')?.searchParams.get('state') ?? null
  return state === null ? '' : `&state=${encodeURIComponent(state)}`
}

/** The `message` in the address is for front ends; here, where anybody can write one, the code alone is believed. */
function errorMessage(error: string | undefined): string {
  return (
    (Object.hasOwn(ERROR_MESSAGES, error ?? '') ? ERROR_MESSAGES[error as ErrorCode] : undefined) ??
    'The login did not come to an end.'
  )
}

function renderPage(heading: string, kind: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${heading}</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body${kind === '' ? '' : ` class="${kind}"`}>
<main><h1>${heading}</h1>${body}</main>
</body>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
