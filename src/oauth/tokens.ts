import { AppError } from '../lib/errors.ts'
import { assertOk, type HttpResponse, type HttpClient, type Logger } from '../lib/http-client.ts'

/** The credentials that the token endpoint expects. */
export interface ClientCredentials {
  clientId: string
  clientSecret: string
  tokenUrl: string
}

export interface TokenSet {
  accessToken: string
  /** null: the consent did not include offline access. */
  refreshToken: string | null
  /** null: the response named none. */
  scopes: string[] | null
  expiresInS: number
}

const ACCESS_TOKEN_LIFETIME_S = 3600

/**
 * Exchanges an authorization code (RFC 6749 section 4.1.3;
 * docs/reference/atlassian.md#2-token-endpoint).
 *
 * @param redirectUri byte for byte the one the login was started with
 * @throws AppError `invalid_code` (start a new login), `oauth_misconfigured` (the operator must
 *   act), or an `upstream_…` code (try again later)
 */
export async function exchangeCode(
  http: HttpClient,
  client: ClientCredentials,
  code: string,
  redirectUri: string,
  log: Logger
): Promise<TokenSet> {
  log.info({ event: 'token_exchange_start' })
  const response = await requestTokens(
    http,
    client,
    { grant_type: 'authorization_code', code, redirect_uri: redirectUri },
    log
  )
  log.info({ event: 'token_exchange_response', status_code: response.status })
  const tokens = parseTokenResponse(response, client, log, CODE_ERRORS)
  log.info({
    event: 'token_exchange_success',
    expires_in_s: tokens.expiresInS,
    scopes: tokens.scopes?.join(' ')
  })
  return tokens
}

/**
 * Exchanges a refresh token for a new pair. The old pair stops working within ten minutes
 * (docs/reference/atlassian.md#3-refresh-tokens).
 *
 * @param timeoutMs time-out of the whole exchange
 * @throws AppError `needs_reconnect` if only a new consent helps, otherwise as `exchangeCode`
 */
export async function refreshTokens(
  http: HttpClient,
  client: ClientCredentials,
  refreshToken: string,
  log: Logger,
  timeoutMs: number
): Promise<TokenSet> {
  const response = await requestTokens(
    http,
    client,
    { grant_type: 'refresh_token', refresh_token: refreshToken },
    log,
    timeoutMs
  )
  return parseTokenResponse(response, client, log, REFRESH_ERRORS)
}

async function requestTokens(
  http: HttpClient,
  { clientId, clientSecret, tokenUrl }: ClientCredentials,
  fields: object,
  log: Logger,
  timeoutMs?: number
): Promise<HttpResponse> {
  return await http({
    method: 'POST',
    url: tokenUrl,
    json: { client_id: clientId, client_secret: clientSecret, ...fields },
    log,
    ...(timeoutMs === undefined ? {} : { timeoutMs })
  })
}

/**
 * Maps errors of the token endpoint: which ones mean that the code or token is worthless, and
 * what to report then.
 */
interface ErrorMapping {
  code: 'invalid_code' | 'needs_reconnect'
  message: string
  isPermanent: (error: string) => boolean
}

const CODE_ERRORS: ErrorMapping = {
  code: 'invalid_code',
  message: 'Atlassian did not accept the authorization code. Start the login again.',
  isPermanent: () => true
}
/** Only these two end a consent. An unknown error never does. */
const PERMANENT_ERRORS: ReadonlySet<string> = new Set(['invalid_grant', 'unauthorized_client'])
const REFRESH_ERRORS: ErrorMapping = {
  code: 'needs_reconnect',
  message: 'Atlassian no longer accepts this connection. Connect again.',
  isPermanent: (error) => PERMANENT_ERRORS.has(error)
}

/**
 * Evaluates `error`, not the status, which has changed over the years
 * (docs/reference/atlassian.md#23-errors).
 */
function parseTokenResponse(
  response: HttpResponse,
  { tokenUrl }: ClientCredentials,
  log: Logger,
  mapping: ErrorMapping
): TokenSet {
  const { status, headers, body } = response
  const error = readField(body, 'error')
  const toError = (
    code: 'oauth_misconfigured' | 'upstream_invalid_answer' | ErrorMapping['code'],
    detail: string
  ) => {
    log.warn(
      {
        event: 'upstream_error',
        error_code: code,
        upstream: new URL(tokenUrl).host,
        status_code: status,
        trace_id: headers['atl-traceid']
      },
      detail
    )
    return new AppError(code, detail)
  }
  if (status >= 400 && status < 500 && status !== 429) {
    if (error === 'access_denied' || error === 'invalid_client') {
      throw toError(
        'oauth_misconfigured',
        'Atlassian rejected the client id or secret of this service. The operator has to correct them.'
      )
    }
    if (typeof error === 'string' && mapping.isPermanent(error)) {
      throw toError(mapping.code, mapping.message)
    }
  }
  const tokens = assertOk(response, tokenUrl, log)
  const accessToken = readField(tokens, 'access_token')
  if (typeof accessToken !== 'string' || accessToken === '') {
    throw toError('upstream_invalid_answer', 'Atlassian returned no access token.')
  }
  const tokenType = readField(tokens, 'token_type') ?? 'bearer'
  if (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer') {
    throw toError(
      'upstream_invalid_answer',
      'Atlassian returned a token that is not a bearer token.'
    )
  }
  const refreshToken = readField(tokens, 'refresh_token')
  if (![accessToken, refreshToken].every((token) => isPrintable(token))) {
    throw toError('upstream_invalid_answer', 'Atlassian returned a token with invalid characters.')
  }
  return {
    accessToken,
    refreshToken: typeof refreshToken === 'string' && refreshToken !== '' ? refreshToken : null,
    scopes: parseScopes(readField(tokens, 'scope')),
    expiresInS: parseLifetimeS(readField(tokens, 'expires_in'))
  }
}

/** Whether a token consists of visible ASCII characters (RFC 6749 appendix A.12 without the blank). */
function isPrintable(token: unknown): boolean {
  return typeof token !== 'string' || /^[\x21-\x7e]*$/.test(token)
}

function readField(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, unknown>)[name]
    : undefined
}

function parseScopes(value: unknown): string[] | null {
  const values = Array.isArray(value)
    ? value.filter((scope) => typeof scope === 'string')
    : typeof value === 'string'
      ? value.split(/[\s,]+/)
      : []
  const scopes = values.filter(Boolean)
  return scopes.length === 0 ? null : scopes
}

/** Replaces a missing or implausible lifetime by the documented hour. */
function parseLifetimeS(value: unknown): number {
  const seconds = Number(value)
  return Number.isFinite(seconds) && seconds > 0 && seconds <= ACCESS_TOKEN_LIFETIME_S
    ? seconds
    : ACCESS_TOKEN_LIFETIME_S
}
