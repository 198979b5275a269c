import { AppError } from '../lib/errors.ts'
import { requireSuccess, type Answer, type Http, type Log } from '../lib/http-client.ts'

/** What the token endpoint needs to know about the app that asks. */
export interface ClientCredentials {
  clientId: string
  clientSecret: string
  tokenUrl: string
}

export interface TokenSet {
  accessToken: string
  /** null: the consent did not include offline access. */
  refreshToken: string | null
  /** null: the answer did not say. */
  scopes: string[] | null
  expiresInS: number
}

const LIFETIME_S = 3600

/**
 * Exchanges an authorization code (RFC 6749 section 4.1.3; atlassian.md section 2).
 *
 * @param redirectUri byte for byte the one the login was started with
 * @throws AppError `invalid_code` (a new login helps), `oauth_misconfigured` (only the operator can help), or one of the
 * `upstream_…` codes (trying again later helps)
 */
export async function exchangeCode(
  http: Http,
  client: ClientCredentials,
  code: string,
  redirectUri: string,
  log: Log
): Promise<TokenSet> {
  log.info({ event: 'token_exchange_start' })
  const answer = await ask(
    http,
    client,
    { grant_type: 'authorization_code', code, redirect_uri: redirectUri },
    log
  )
  log.info({ event: 'token_exchange_response', status_code: answer.status })
  const tokens = judged(answer, client, log, CODE)
  log.info({
    event: 'token_exchange_success',
    expires_in_s: tokens.expiresInS,
    scopes: tokens.scopes?.join(' ')
  })
  return tokens
}

/**
 * Exchanges a refresh token for a new pair; the old pair dies within ten minutes (atlassian.md section 3).
 *
 * @param timeoutMs for the whole exchange
 * @throws AppError `needs_reconnect` when only a new consent helps, else as `exchangeCode`
 */
export async function refreshTokens(
  http: Http,
  client: ClientCredentials,
  refreshToken: string,
  log: Log,
  timeoutMs: number
): Promise<TokenSet> {
  const answer = await ask(
    http,
    client,
    { grant_type: 'refresh_token', refresh_token: refreshToken },
    log,
    timeoutMs
  )
  return judged(answer, client, log, REFRESH)
}

async function ask(
  http: Http,
  { clientId, clientSecret, tokenUrl }: ClientCredentials,
  fields: object,
  log: Log,
  timeoutMs?: number
): Promise<Answer> {
  return await http({
    method: 'POST',
    url: tokenUrl,
    json: { client_id: clientId, client_secret: clientSecret, ...fields },
    log,
    ...(timeoutMs === undefined ? {} : { timeoutMs })
  })
}

/** How an exchange is refused: which errors mean that what was given is worth nothing, and what then helps. */
interface Refusal {
  code: 'invalid_code' | 'needs_reconnect'
  sentence: string
  isFinal: (error: string) => boolean
}

const CODE: Refusal = {
  code: 'invalid_code',
  sentence: 'Atlassian did not accept the authorization code. Start the login again.',
  isFinal: () => true
}
/** Nothing but these two ends a consent: an error nobody has seen yet must not cost anybody theirs. */
const FINAL: ReadonlySet<string> = new Set(['invalid_grant', 'unauthorized_client'])
const REFRESH: Refusal = {
  code: 'needs_reconnect',
  sentence: 'Atlassian no longer accepts this connection. Connect again.',
  isFinal: (error) => FINAL.has(error)
}

/** Branches on `error` and not on the status, which has changed over the years (atlassian.md section 2.3). */
function judged(
  answer: Answer,
  { tokenUrl }: ClientCredentials,
  log: Log,
  refused: Refusal
): TokenSet {
  const { status, headers, body } = answer
  const error = field(body, 'error')
  const failure = (
    code: 'oauth_misconfigured' | 'upstream_invalid_answer' | Refusal['code'],
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
      throw failure(
        'oauth_misconfigured',
        'Atlassian rejected the client id or secret of this service. Its operator has to correct them.'
      )
    }
    if (typeof error === 'string' && refused.isFinal(error)) {
      throw failure(refused.code, refused.sentence)
    }
  }
  const tokens = requireSuccess(answer, tokenUrl, log)
  const accessToken = field(tokens, 'access_token')
  if (typeof accessToken !== 'string' || accessToken === '') {
    throw failure('upstream_invalid_answer', 'Atlassian answered without an access token.')
  }
  const refreshToken = field(tokens, 'refresh_token')
  return {
    accessToken,
    refreshToken: typeof refreshToken === 'string' && refreshToken !== '' ? refreshToken : null,
    scopes: scopes(field(tokens, 'scope')),
    expiresInS: lifetime(field(tokens, 'expires_in'))
  }
}

function field(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, unknown>)[name]
    : undefined
}

function scopes(value: unknown): string[] | null {
  const named = Array.isArray(value)
    ? value.filter((scope) => typeof scope === 'string')
    : typeof value === 'string'
      ? value.split(/[\s,]+/)
      : []
  const scopes = named.filter(Boolean)
  return scopes.length === 0 ? null : scopes
}

/** An odd lifetime is not believed further than the documented hour. */
function lifetime(value: unknown): number {
  const seconds = Number(value)
  return Number.isFinite(seconds) && seconds > 0 && seconds <= LIFETIME_S ? seconds : LIFETIME_S
}
