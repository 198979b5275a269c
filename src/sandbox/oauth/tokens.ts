import { randomUUID } from 'node:crypto'
import type { TokenFamily, SandboxGrant, SandboxGrants, TokenPair } from './grants.ts'
import type { JwtSigner } from './jwt.ts'
import type { SandboxClients, SandboxState } from '../state.ts'

/**
 * The lifetime in seconds that responses state; a token may stop working earlier
 * (docs/reference/atlassian.md#31-rotation).
 */
const EXPIRES_IN_S = 3600
const REFRESH_EXPIRES_IN_S = 90 * 86_400

/** The claims of a verified refresh token. */
export interface RefreshTokenIdentity {
  clientId: string
  accountId: string
  family: string
  pair: string
}

/** The user and app of a call, and their current scopes. */
export interface AccessSession {
  clientId: string
  accountId: string
  scopes: readonly string[]
  grant: SandboxGrant
}

interface TokenServices {
  signer: JwtSigner
  grants: SandboxGrants
  clients: SandboxClients
  now: () => number
}

/**
 * The response of the token endpoint (docs/reference/atlassian.md#22-response). It has a
 * `refresh_token` only if `offline_access` was granted.
 */
export function issueTokens(
  { signer, now }: TokenServices,
  grant: SandboxGrant,
  { family, pair }: { family: TokenFamily; pair: TokenPair }
) {
  const scope = grant.scopes.join(' ')
  const seconds = Math.floor(now() / 1000)
  const claims = {
    jti: randomUUID(),
    sub: grant.accountId,
    aud: grant.clientId,
    iss: 'https://auth.atlassian.com',
    iat: seconds,
    nbf: seconds,
    client_id: grant.clientId,
    scope,
    'https://id.atlassian.com/ari': `ari:cloud:identity::user/${grant.accountId}`,
    'https://id.atlassian.com/session_family': family.id,
    'https://id.atlassian.com/session_pair': pair.id
  }
  const sign = (kind: string, lifetimeS: number) =>
    signer.sign({
      ...claims,
      exp: seconds + lifetimeS,
      'https://id.atlassian.com/atl_token_type': kind
    })
  const body = {
    access_token: sign('ACCESS', EXPIRES_IN_S),
    expires_in: EXPIRES_IN_S,
    token_type: 'Bearer',
    scope
  }
  return grant.scopes.includes('offline_access')
    ? { ...body, refresh_token: sign('ROTATING_REFRESH', REFRESH_EXPIRES_IN_S) }
    : body
}

/** @returns undefined if the string is not a refresh token of this sandbox */
export function verifyRefreshToken(
  { signer }: TokenServices,
  token: string
): RefreshTokenIdentity | undefined {
  const claims = signer.verify(token)
  if (claims?.['https://id.atlassian.com/atl_token_type'] !== 'ROTATING_REFRESH') return undefined
  return {
    clientId: String(claims.aud),
    accountId: String(claims.sub),
    family: String(claims['https://id.atlassian.com/session_family']),
    pair: String(claims['https://id.atlassian.com/session_pair'])
  }
}

/**
 * Verifies an access token. Returns those of its scopes that the grant still has: a later
 * consent with fewer scopes also limits older tokens.
 */
export function verifyAccessToken(
  { signer, grants, now }: TokenServices,
  token: string | undefined
): AccessSession | undefined {
  const claims = token === undefined ? undefined : signer.verify(token)
  if (
    claims?.['https://id.atlassian.com/atl_token_type'] !== 'ACCESS' ||
    Number(claims.exp) * 1000 <= now()
  ) {
    return undefined
  }
  const [clientId, accountId] = [String(claims.aud), String(claims.sub)]
  const grant = grants.find(clientId, accountId)
  const family = String(claims['https://id.atlassian.com/session_family'])
  const pair = String(claims['https://id.atlassian.com/session_pair'])
  if (grant === undefined || !grants.isAccessTokenValid(grant, family, pair)) return undefined
  const scopes = String(claims.scope)
    .split(' ')
    .filter((scope) => grant.scopes.includes(scope))
  return { clientId, accountId, scopes, grant }
}

/** The parts of the state that tokens depend on. */
export function tokenServices({ signer, grants, clients, now }: SandboxState): TokenServices {
  return { signer, grants, clients, now }
}
