import { knowsRedirect } from './clients.ts'
import type { Client } from './clients.ts'
import { readScopes, SCOPES } from './scopes.ts'
import type { Site } from '../data/sites.ts'
import type { User } from './users.ts'
import type { World } from '../state.ts'

/** The parameters that make up an authorization request; everything else (`prompt`, PKCE) is tolerated and ignored. */
export const REQUEST_FIELDS = [
  'audience',
  'client_id',
  'scope',
  'redirect_uri',
  'state',
  'response_type',
  'prompt'
] as const

/** A request that may be put to the person. */
export interface Consent {
  client: Client
  redirectUri: string
  state: string | undefined
  scopes: readonly string[]
}

/** A request that ends on Atlassian's own page and never reaches the callback (atlassian.md 1.2). */
export interface Problem {
  title: string
  /** OAuth code in the real error page's URL. */
  error: string
  detail: string
}

export interface Decision {
  accept: boolean
  accountId?: string
  cloudId?: string
}

/** Checks a request in the order Atlassian does after the login. */
export function readConsent(world: World, params: URLSearchParams): Consent | Problem {
  const field = (name: (typeof REQUEST_FIELDS)[number]) => params.get(name) ?? undefined
  const client = world.clients.get(field('client_id') ?? '')
  if (client === undefined) {
    return problem(
      'Unknown app',
      'unauthorized_client',
      `client_id ${field('client_id') ?? '(missing)'} does not exist`
    )
  }
  const redirectUri = field('redirect_uri') ?? ''
  if (!URL.canParse(redirectUri) || !knowsRedirect(client, redirectUri)) {
    return problem(
      'Callback URL mismatch',
      'unauthorized_client',
      `redirect_uri is not registered for client: ${redirectUri}`
    )
  }
  if (field('response_type') !== 'code') {
    return problem(
      'Unsupported response type',
      'unsupported_response_type',
      'response_type must be code'
    )
  }
  const audience = field('audience')
  if (audience !== undefined && audience !== 'api.atlassian.com') {
    return problem('Unknown audience', 'invalid_request', 'audience must be api.atlassian.com')
  }
  const scopes = readScopes(field('scope') ?? '')
  const missing = scopes.filter(
    (scope) => scope !== 'offline_access' && !client.scopes.includes(scope)
  )
  if (missing.length > 0) {
    return problem(
      'Scopes not added to the app',
      'invalid_scope',
      `${client.name} requested scopes that were not added to it: ${missing.join(', ')}`
    )
  }
  return { client, redirectUri, state: field('state'), scopes }
}

function problem(title: string, error: string, detail: string): Problem {
  return { title, error, detail }
}

/** The sites a person can give to an app. */
export function sitesOf(world: World, accountId: string): Site[] {
  return world.sites.filter((site) =>
    site.products.some((product) => world.access.has(accountId, site.cloudId, product))
  )
}

/** A scope in words, for the consent page. */
export function inWords(scope: string): string {
  return SCOPES[scope] ?? scope
}

/**
 * Writes the decision down and says where the browser goes next. A person who is not named is the first one; a site that
 * is not named is the first one, and only for apps that reach one site per consent.
 */
export function decide(
  world: World,
  { client, redirectUri, state, scopes }: Consent,
  decision: Decision
): string | Problem {
  if (!decision.accept) {
    return callback(redirectUri, {
      error: 'access_denied',
      error_description: 'User did not authorize the request',
      state
    })
  }
  const user = personOf(world, decision.accountId)
  if (user === undefined) {
    return problem(
      'Unknown account',
      'invalid_request',
      `there is no account ${decision.accountId}`
    )
  }
  const sites = sitesOf(world, user.accountId)
  const chosen =
    decision.cloudId === undefined || decision.cloudId === ''
      ? sites.slice(0, 1)
      : sites.filter((site) => answersTo(site, decision.cloudId))
  if (chosen.length === 0) {
    return problem(
      'No such site',
      'access_denied',
      'The app requires access to a site that this account does not have'
    )
  }
  const cloudIds = (client.access === 'account' ? sites : chosen).map(({ cloudId }) => cloudId)
  world.grants.consent(client.id, user.accountId, scopes, cloudIds)
  const code = world.signer.sign({
    iat: Math.floor(world.now() / 1000),
    'https://id.atlassian.com/atl_token_type': 'AUTH_CODE'
  })
  world.codes.set(code, { clientId: client.id, accountId: user.accountId, redirectUri })
  return callback(redirectUri, { state, code })
}

function personOf(world: World, name: string | undefined): User | undefined {
  if (name === undefined || name === '') return world.users[0]
  return world.users.find(({ accountId, nickname }) => accountId === name || nickname === name)
}

function answersTo(site: Site, name: string | undefined): boolean {
  return site.cloudId === name || site.name === name
}

/** Percent-encodes (a blank is %20), in this order, and leaves out what is not there. */
function callback(redirectUri: string, params: Record<string, string | undefined>): string {
  const query = Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value ?? '')}`)
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${query.join('&')}`
}
