import { ok, oauthError } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { isClientSecret } from './clients.ts'
import type { SandboxClient } from './clients.ts'
import { issueTokens, tokenServices, verifyRefreshToken } from './tokens.ts'
import type { SandboxState } from '../state.ts'

/** The fields of a token request, from a JSON or form body. */
export type TokenRequestFields = Record<string, unknown>

/** Two answers to a missing secret were seen (docs/reference/atlassian.md#23-errors). */
export const MISSING_SECRET_TEXTS = {
  unauthorized: 'Unauthorized',
  parameters: 'Incorrect request parameters'
} as const

/** POST /oauth/token; implements docs/reference/atlassian.md#23-errors. */
export function handleTokenRequest(
  state: SandboxState,
  fields: TokenRequestFields
): SandboxResponse {
  const response = processTokenRequest(state, fields)
  const error = (response.body as { error?: string }).error
  state.stats.recordExchange(normalizeGrantType(fields), error ?? 'ok')
  return response
}

function normalizeGrantType(fields: TokenRequestFields): string {
  const grantType = fields.grant_type
  return grantType === 'authorization_code' || grantType === 'refresh_token' ? grantType : 'other'
}

function processTokenRequest(state: SandboxState, fields: TokenRequestFields): SandboxResponse {
  const grantType = fields.grant_type
  if (typeof grantType !== 'string' || grantType === '') {
    return oauthError(400, 'invalid_request', 'grant_type is required')
  }
  if (normalizeGrantType(fields) === 'other') {
    return oauthError(
      400,
      'unsupported_grant_type',
      `Unsupported grant type: ${grantType.slice(0, 60)}`
    )
  }
  const client = state.clients.get(String(fields.client_id))
  if (client === undefined || !isClientSecret(client, fields.client_secret)) {
    const isMissing = fields.client_secret === undefined || fields.client_secret === ''
    return oauthError(401, 'access_denied', isMissing ? state.missingSecretText : 'Unauthorized')
  }
  return grantType === 'authorization_code'
    ? redeemCode(state, client, fields)
    : redeemRefreshToken(state, client, fields)
}

function redeemCode(
  state: SandboxState,
  client: SandboxClient,
  { code, redirect_uri: redirectUri }: TokenRequestFields
): SandboxResponse {
  if (typeof code !== 'string' || code === '') {
    return oauthError(400, 'invalid_request', 'code is required')
  }
  const issuedCode = state.codes.get(code)
  if (issuedCode === undefined || issuedCode.clientId !== client.id) {
    return oauthError(400, 'invalid_request', 'authorization_code is invalid')
  }
  if (redirectUri !== issuedCode.redirectUri) {
    return oauthError(
      400,
      'invalid_request',
      'redirect_uri does not match the one of the authorization request'
    )
  }
  state.codes.take(code)
  const grant = state.grants.find(client.id, issuedCode.accountId)
  if (grant === undefined) {
    return oauthError(400, 'invalid_request', 'authorization_code is invalid')
  }
  return ok(issueTokens(tokenServices(state), grant, state.grants.startFamily(grant)))
}

function redeemRefreshToken(
  state: SandboxState,
  client: SandboxClient,
  { refresh_token: token, scope }: TokenRequestFields
): SandboxResponse {
  if (typeof token !== 'string' || token === '') {
    return oauthError(400, 'invalid_request', 'refresh_token is required')
  }
  if (scope !== undefined) {
    return oauthError(400, 'invalid_request', 'scope is not accepted with refresh_token')
  }
  const refresh = verifyRefreshToken(tokenServices(state), token)
  if (refresh === undefined || refresh.clientId !== client.id) {
    return oauthError(403, 'unauthorized_client', 'refresh_token is invalid')
  }
  const grant = state.grants.find(client.id, refresh.accountId)
  if (grant === undefined) {
    return oauthError(403, 'invalid_grant', 'Token has been expired or revoked.')
  }
  const { outcome, family, pair } = state.grants.rotate(grant, refresh.family, refresh.pair)
  if (outcome === 'reused') {
    return oauthError(403, 'unauthorized_client', 'refresh_token is invalid')
  }
  if (family === undefined || pair === undefined) {
    return oauthError(403, 'invalid_grant', 'Unknown or invalid refresh token.')
  }
  return ok(issueTokens(tokenServices(state), grant, { family, pair }))
}
