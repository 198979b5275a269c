/**
 * Codes of failures that a caller can get as a problem document. Each needs a status in
 * src/http/problem.ts.
 */
export type HttpErrorCode =
  | 'invalid_json'
  | 'invalid_cursor'
  | 'bad_request'
  | 'oauth_not_configured'
  | 'access_denied'
  | 'account_changed'
  | 'email_mismatch'
  | 'oauth_error'
  | 'missing_code'
  | 'missing_state'
  | 'unknown_state'
  | 'expired_state'
  | 'replayed_state'
  | 'wrong_product'
  | 'wrong_browser'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'user_not_found'
  | 'connection_not_found'
  | 'run_not_found'
  | 'session_not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'not_connected'
  | 'run_ended'
  | 'no_held_deletions'
  | 'needs_reconnect'
  | 'tokens_undecryptable'
  | 'connection_altered'
  | 'client_removed'
  | 'cursor_expired'
  | 'payload_too_large'
  | 'misdirected_request'
  | 'unsupported_media_type'
  | 'validation_failed'
  | 'too_many_requests'
  | 'request_header_fields_too_large'
  | 'internal_error'
  | 'upstream_unreachable'
  | 'upstream_timeout'
  | 'upstream_invalid_answer'
  | 'upstream_refused'
  | 'upstream_failed'
  | 'upstream_rate_limited'
  | 'invalid_code'
  | 'oauth_misconfigured'
  | 'callback_interrupted'
  | 'interrupted'
  | 'vault_key_exhausted'
  | 'vault_key_missing'
  | 'database_busy'
  | 'database_unavailable'
  | 'identity_provider_unavailable'
  | 'unavailable'

/** Codes recorded on a sync run or a connection; no HTTP response carries one as its own code. */
type SyncErrorCode =
  | 'call_limit_reached'
  | 'cancelled'
  | 'deletions_held'
  | 'disconnected'
  | 'items_skipped'
  | 'listing_empty'
  | 'listing_incomplete'
  | 'needs_site'
  | 'scope_missing'
  | 'site_removed'
  | 'site_unreachable'
  | 'upstream_repeats_pages'

export type ErrorCode = HttpErrorCode | SyncErrorCode

/** One invalid field of a request. `pointer` is a JSON pointer (RFC 6901), also for parameters. */
export interface FieldError {
  pointer: string
  detail: string
}

/** What an error carries beside its message. All of it is sent to the caller, except `suppressLog`. */
export interface ErrorDetails {
  /** Set if the throwing code logs many of these errors as one. */
  suppressLog?: boolean
  errors?: FieldError[]
  missing?: Record<string, boolean>
  retryAfterS?: number
  allowedMethods?: string[]
  confirmUrl?: string | undefined
  cursor?: string
}

/**
 * An expected failure. `code` is stable and meant for programs; `message` is a sentence for people
 * and is sent as `detail`. `cause` is logged and never sent, so `message` must contain nothing from
 * Atlassian or from the database.
 */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  /** Status of Atlassian's response, if there was one. Never sent to callers. */
  upstreamStatus?: number

  constructor(
    code: ErrorCode,
    detail: string,
    { cause, ...details }: ErrorDetails & { cause?: unknown } = {}
  ) {
    super(detail, { cause })
    this.code = code
    this.details = details
  }

  /** Returns a copy with more details. */
  withDetails(details: ErrorDetails): AppError {
    return new AppError(this.code, this.message, { ...this.details, ...details, cause: this.cause })
  }
}

/** The service cannot start. Each problem is one sentence that names the variable and never its value. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly problems: string[]
  readonly exitCode: number

  /** @param exitCode 78 (EX_CONFIG of sysexits.h) for settings, 1 for anything else */
  constructor(problems: string[], exitCode: number) {
    super(problems.join('\n'))
    this.problems = problems
    this.exitCode = exitCode
  }
}
