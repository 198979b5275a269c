import { isRegisteredRedirect } from './clients.ts'
import type { SandboxClient } from './clients.ts'
import { parseKnownScopes } from './scopes.ts'
import type { SandboxSite } from '../data/sites.ts'
import type { SandboxUser } from './users.ts'
import type { SandboxState } from '../state.ts'

/** The parameters of an authorization request. Others (`prompt`, PKCE) are accepted and ignored. */
export const AUTHORIZE_PARAMS = [
  'audience',
  'client_id',
  'scope',
  'redirect_uri',
  'state',
  'response_type',
  'prompt'
] as const

/** A valid request, ready to show to the user. */
export interface ConsentRequest {
  client: SandboxClient
  redirectUri: string
  state: string | undefined
  scopes: readonly string[]
}

/**
 * A request that ends on Atlassian's error page and never reaches the callback
 * (docs/reference/atlassian.md#12-callback).
 */
export interface AuthorizeError {
  title: string
  /** The OAuth error code in the URL of Atlassian's error page. */
  error: string
  detail: string
}

export interface ConsentDecision {
  accept: boolean
  accountId: string | undefined
  cloudId: string | undefined
}

/** Validates a request in the same order as Atlassian after the login. */
export function parseConsentRequest(
  state: SandboxState,
  params: URLSearchParams
): ConsentRequest | AuthorizeError {
  const readParam = (name: (typeof AUTHORIZE_PARAMS)[number]) => params.get(name) ?? undefined
  const client = state.clients.get(readParam('client_id') ?? '')
  if (client === undefined) {
    return authorizeError(
      'Unknown app',
      'unauthorized_client',
      `client_id ${readParam('client_id') ?? '(missing)'} does not exist`
    )
  }
  const redirectUri = readParam('redirect_uri') ?? ''
  if (!URL.canParse(redirectUri) || !isRegisteredRedirect(client, redirectUri)) {
    return authorizeError(
      'Callback URL mismatch',
      'unauthorized_client',
      `redirect_uri is not registered for client: ${redirectUri}`
    )
  }
  if (readParam('response_type') !== 'code') {
    return authorizeError(
      'Unsupported response type',
      'unsupported_response_type',
      'response_type must be code'
    )
  }
  const audience = readParam('audience')
  if (audience !== undefined && audience !== 'api.atlassian.com') {
    return authorizeError(
      'Unknown audience',
      'invalid_request',
      'audience must be api.atlassian.com'
    )
  }
  const scopes = parseKnownScopes(readParam('scope') ?? '', state.scopes)
  const missing = scopes.filter(
    (scope) => scope !== 'offline_access' && !client.scopes.includes(scope)
  )
  if (missing.length > 0) {
    return authorizeError(
      'Scopes not added to the app',
      'invalid_scope',
      `${client.name} requested scopes that were not added to it: ${missing.join(', ')}`
    )
  }
  return { client, redirectUri, state: readParam('state'), scopes }
}

function authorizeError(title: string, error: string, detail: string): AuthorizeError {
  return { title, error, detail }
}

/** The sites to which an account can give an app access. */
export function listAccessibleSites(state: SandboxState, accountId: string): SandboxSite[] {
  return state.sites.filter((site) =>
    site.products.some((product) => state.access.has(accountId, site.cloudId, product))
  )
}

/**
 * Stores the decision and returns the redirect URL. The default account is the first one. For an
 * app that reaches one site per consent, the default site is the first one.
 */
export function applyDecision(
  state: SandboxState,
  { client, redirectUri, state: oauthState, scopes }: ConsentRequest,
  decision: ConsentDecision
): string | AuthorizeError {
  if (!decision.accept) {
    return buildCallbackUrl(redirectUri, {
      error: 'access_denied',
      error_description: 'User did not authorize the request',
      state: oauthState
    })
  }
  const user = findUser(state, decision.accountId)
  if (user === undefined) {
    return authorizeError(
      'Unknown account',
      'invalid_request',
      `there is no account ${decision.accountId}`
    )
  }
  const sites = listAccessibleSites(state, user.accountId)
  const chosen =
    decision.cloudId === undefined || decision.cloudId === ''
      ? sites.slice(0, 1)
      : sites.filter((site) => isSiteNamed(site, decision.cloudId))
  if (chosen.length === 0) {
    return authorizeError(
      'No such site',
      'access_denied',
      'The app requires access to a site that this account does not have'
    )
  }
  const cloudIds = (client.access === 'account' ? sites : chosen).map(({ cloudId }) => cloudId)
  state.grants.recordConsent(client.id, user.accountId, scopes, cloudIds)
  const code = state.signer.sign({
    iat: Math.floor(state.now() / 1000),
    'https://id.atlassian.com/atl_token_type': 'AUTH_CODE'
  })
  state.codes.set(code, { clientId: client.id, accountId: user.accountId, redirectUri })
  return buildCallbackUrl(redirectUri, { state: oauthState, code })
}

function findUser(state: SandboxState, name: string | undefined): SandboxUser | undefined {
  if (name === undefined || name === '') return state.users[0]
  return state.users.find(({ accountId, nickname }) => accountId === name || nickname === name)
}

function isSiteNamed(site: SandboxSite, name: string | undefined): boolean {
  return site.cloudId === name || site.name === name
}

/** Percent-encodes the parameters (a space is %20) in the given order; omits undefined ones. */
function buildCallbackUrl(redirectUri: string, params: Record<string, string | undefined>): string {
  const query = Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value ?? '')}`)
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${query.join('&')}`
}
