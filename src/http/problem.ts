import { STATUS_CODES } from './status-codes.ts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AppError, HttpErrorCode } from '../lib/errors.ts'
import { escapeHtml, PAGE_HEADERS, renderPage } from './html.ts'
import { isNavigation } from './navigation.ts'

/**
 * How paths are read, by Fastify's router and by the one of plugins/errors.ts that finds the
 * methods of a path (405). Path parameters may be long, because the schema of a route rejects a
 * long one with a better message than the router.
 */
export const ROUTER_OPTIONS = { ignoreTrailingSlash: true, maxParamLength: 16_384 }

const HTTP_STATUS_BY_CODE = {
  invalid_json: 400,
  invalid_cursor: 400,
  bad_request: 400,
  oauth_not_configured: 400,
  access_denied: 400,
  account_changed: 400,
  email_mismatch: 400,
  oauth_error: 400,
  missing_code: 400,
  missing_state: 400,
  unknown_state: 400,
  expired_state: 400,
  replayed_state: 400,
  wrong_product: 400,
  wrong_browser: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  user_not_found: 404,
  connection_not_found: 404,
  run_not_found: 404,
  session_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  not_connected: 409,
  run_ended: 409,
  no_held_deletions: 409,
  needs_reconnect: 409,
  tokens_undecryptable: 409,
  connection_altered: 409,
  client_removed: 409,
  cursor_expired: 410,
  payload_too_large: 413,
  unsupported_media_type: 415,
  misdirected_request: 421,
  validation_failed: 422,
  too_many_requests: 429,
  request_header_fields_too_large: 431,
  internal_error: 500,
  upstream_unreachable: 502,
  upstream_timeout: 502,
  upstream_invalid_answer: 502,
  upstream_refused: 502,
  upstream_failed: 502,
  upstream_rate_limited: 502,
  invalid_code: 502,
  oauth_misconfigured: 502,
  callback_interrupted: 502,
  interrupted: 503,
  vault_key_exhausted: 503,
  vault_key_missing: 503,
  database_busy: 503,
  database_unavailable: 503,
  identity_provider_unavailable: 503,
  unavailable: 503
} as const satisfies Record<HttpErrorCode, number>

/** A code that belongs to sync runs only is a bug where it reaches HTTP: 500. */
export function getHttpStatus({ code }: AppError): number {
  return code in HTTP_STATUS_BY_CODE ? HTTP_STATUS_BY_CODE[code as HttpErrorCode] : 500
}

/** The body of a problem document (RFC 9457). */
export function toProblem(error: AppError, requestId: string) {
  const status = getHttpStatus(error)
  const { errors, missing, confirmUrl, cursor } = error.details
  return {
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: error.message,
    code: error.code,
    request_id: requestId,
    errors,
    missing,
    confirm_url: confirmUrl,
    cursor
  }
}

/**
 * Responds with a problem document. Also serves errors that Fastify raises before any plugin runs.
 *
 * @param cause what the log records
 */
export function sendProblem(
  error: AppError,
  request: FastifyRequest,
  reply: FastifyReply,
  cause: unknown = error.cause
) {
  const { retryAfterS, allowedMethods, suppressLog = false } = error.details
  const status = getHttpStatus(error)
  request.problem = error
  const logFields = { error_code: error.code, err: cause ?? error }
  request.suppressLog = suppressLog
  if (status >= 500 && !suppressLog) {
    request.log.error({ event: 'request_error', ...logFields }, error.message)
  } else if (error.code === 'validation_failed' || error.code === 'invalid_json') {
    // The detail may name what the caller sent.
    request.log.debug({ event: 'request_refused', error_code: error.code }, 'Invalid request.')
  } else {
    request.log.debug({ event: 'request_refused', ...logFields }, error.message)
  }
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS)
  if (allowedMethods !== undefined) reply.header('allow', allowedMethods.join(', '))
  reply.header('x-request-id', request.id)
  // A person in the middle of a login gets a page.
  if (request.routeOptions?.config?.limit === 'login' && isNavigation(request)) {
    return reply
      .code(status)
      .headers(PAGE_HEADERS)
      .serializer(String)
      .send(renderErrorPage(error, request.id))
  }
  reply.code(status).type('application/problem+json').serializer(JSON.stringify)
  return reply.send(toProblem(error, request.id))
}

function renderErrorPage({ code, message, details }: AppError, requestId: string): string {
  const sentences = [message, ...(details.errors ?? []).map(({ detail }) => detail)]
  return renderPage(
    'The login cannot go on',
    [...new Set(sentences)].map((each) => `<p>${escapeHtml(each)}</p>`).join('\n') +
      `<p class="small">${escapeHtml(`${code} · request ${requestId}`)}</p>`,
    'error'
  )
}
