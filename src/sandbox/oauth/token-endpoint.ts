import { ok, oauthError } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { hasSecret } from './clients.ts'
import type { Client } from './clients.ts'
import { issue, parts, readRefresh } from './tokens.ts'
import type { World } from '../state.ts'

/** What came in the body of a token request, JSON or form. */
export type Fields = Record<string, unknown>

/** POST /oauth/token, the whole table of atlassian.md 2.3. */
export function exchange(world: World, fields: Fields): Answer {
  const answer = judge(world, fields)
  const error = (answer.body as { error?: string }).error
  world.stats.exchange(grantType(fields), error ?? 'ok')
  return answer
}

function grantType(fields: Fields): string {
  const given = fields.grant_type
  return given === 'authorization_code' || given === 'refresh_token' ? given : 'other'
}

function judge(world: World, fields: Fields): Answer {
  const given = fields.grant_type
  if (typeof given !== 'string' || given === '') {
    return oauthError(400, 'invalid_request', 'grant_type is required')
  }
  if (grantType(fields) === 'other') {
    return oauthError(
      400,
      'unsupported_grant_type',
      `Unsupported grant type: ${given.slice(0, 60)}`
    )
  }
  const client = world.clients.get(String(fields.client_id))
  if (client === undefined || !hasSecret(client, fields.client_secret)) {
    return oauthError(401, 'access_denied', 'Unauthorized')
  }
  return given === 'authorization_code'
    ? fromCode(world, client, fields)
    : fromRefreshToken(world, client, fields)
}

function fromCode(
  world: World,
  client: Client,
  { code, redirect_uri: redirectUri }: Fields
): Answer {
  if (typeof code !== 'string' || code === '') {
    return oauthError(400, 'invalid_request', 'code is required')
  }
  const known = world.codes.get(code)
  if (known === undefined || known.clientId !== client.id) {
    return oauthError(400, 'invalid_request', 'authorization_code is invalid')
  }
  if (redirectUri !== known.redirectUri) {
    return oauthError(
      400,
      'invalid_request',
      'redirect_uri does not match the one of the authorization request'
    )
  }
  world.codes.take(code)
  const grant = world.grants.find(client.id, known.accountId)
  if (grant === undefined) {
    return oauthError(400, 'invalid_request', 'authorization_code is invalid')
  }
  return ok(issue(parts(world), grant, world.grants.start(grant)))
}

function fromRefreshToken(
  world: World,
  client: Client,
  { refresh_token: token, scope }: Fields
): Answer {
  if (typeof token !== 'string' || token === '') {
    return oauthError(400, 'invalid_request', 'refresh_token is required')
  }
  if (scope !== undefined) {
    return oauthError(400, 'invalid_request', 'scope is not accepted with refresh_token')
  }
  const refresh = readRefresh(parts(world), token)
  if (refresh === undefined || refresh.clientId !== client.id) {
    return oauthError(403, 'unauthorized_client', 'refresh_token is invalid')
  }
  const grant = world.grants.find(client.id, refresh.accountId)
  if (grant === undefined) {
    return oauthError(403, 'invalid_grant', 'Token has been expired or revoked.')
  }
  const { outcome, family, pair } = world.grants.rotate(grant, refresh.family, refresh.pair)
  if (outcome === 'reused') {
    return oauthError(403, 'unauthorized_client', 'refresh_token is invalid')
  }
  if (family === undefined || pair === undefined) {
    return oauthError(403, 'invalid_grant', 'Unknown or invalid refresh token.')
  }
  return ok(issue(parts(world), grant, { family, pair }))
}
