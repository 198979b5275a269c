import type { ProviderId } from '../model/products.ts'
import type { ClientCredentials } from './tokens.ts'

/** One registered app, complete enough to start a login with. */
export interface OAuthClient extends ClientCredentials {
  provider: ProviderId
  redirectUri: string
  /** Everything that may be asked for; a login may narrow it. */
  scopes: readonly string[]
  authorizeUrl: string
  apiUrl: string
}

/**
 * The address that asks for consent (RFC 6749 section 4.1.1;
 * docs/reference/atlassian.md#1-authorize). `audience` and `prompt` are Atlassian's own. PKCE is
 * not sent: the token endpoint does not know it (docs/reference/atlassian.md#14-pkce).
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
 * Which scopes a login asks for: what was asked and is configured, or all that is configured where
 * nothing is left (an old front end sends `scope=read`), and what the user's other connections at
 * this client hold, because a consent replaces the scopes of the one before
 * (docs/reference/atlassian.md#11-consent).
 */
export function selectScopes(
  configured: readonly string[],
  requested: string | undefined,
  existing: readonly string[]
): string[] {
  const narrowed =
    requested === undefined
      ? []
      : configured.filter((scope) => requested.split(/[\s,]+/).includes(scope))
  return [...new Set([...(narrowed.length === 0 ? configured : narrowed), ...existing])]
}
