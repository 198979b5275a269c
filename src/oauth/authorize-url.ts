import { BASE_SCOPES } from '../providers/endpoint.ts'
import type { ClientCredentials } from './tokens.ts'

/** A registered app with everything a login needs. */
export interface OAuthClient extends ClientCredentials {
  provider: string
  redirectUri: string
  /** All scopes the app may request; a login may request fewer. */
  scopes: readonly string[]
  authorizeUrl: string
  apiUrl: string
}

/**
 * Builds the URL that asks for consent (RFC 6749 section 4.1.1;
 * docs/reference/atlassian.md#1-authorize). `audience` and `prompt` are specific to Atlassian.
 * PKCE is not sent: the token endpoint does not support it
 * (docs/reference/atlassian.md#14-pkce).
 */
export function buildAuthorizeUrl(
  { authorizeUrl, clientId, redirectUri }: OAuthClient,
  scopes: readonly string[],
  state: string
): string {
  const query = {
    audience: 'api.atlassian.com',
    client_id: clientId,
    scope: scopes.join(' '),
    redirect_uri: redirectUri,
    state,
    response_type: 'code',
    prompt: 'consent'
  }
  return `${authorizeUrl}?${Object.entries(query)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')}`
}

/**
 * Selects the scopes of a login: those that were requested and are configured, or all configured
 * ones if nothing is left (an old front end sends `scope=read`). Always added are the scopes
 * without which no connection lasts, and those of the user's other connections at this client,
 * because a consent replaces the previous one's scopes (docs/reference/atlassian.md#11-consent).
 */
export function selectScopes(
  configured: readonly string[],
  requested: string | undefined,
  existing: readonly string[]
): string[] {
  const requestedScopes = requested?.split(/[\s,]+/) ?? []
  const narrowed = configured.filter(
    (scope) => requestedScopes.includes(scope) && !BASE_SCOPES.includes(scope)
  )
  const selected = narrowed.length === 0 ? configured : narrowed
  return [...new Set([...selected, ...existing, ...BASE_SCOPES])]
}
