/** Every way this service says no, and the status it says it with. A new code gets its status here or does not compile. */
export const HTTP_STATUS_BY_CODE = {
  invalid_json: 400,
  invalid_cursor: 400,
  bad_request: 400,
  oauth_not_configured: 400,
  access_denied: 400,
  account_changed: 400,
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
  method_not_allowed: 405,
  request_timeout: 408,
  not_connected: 409,
  run_ended: 409,
  no_held_deletions: 409,
  cancelled: 409,
  cursor_expired: 410,
  needs_reconnect: 409,
  needs_site: 409,
  disconnected: 409,
  tokens_undecryptable: 409,
  site_removed: 409,
  client_removed: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  validation_failed: 422,
  too_many_requests: 429,
  request_header_fields_too_large: 431,
  internal_error: 500,
  upstream_unreachable: 502,
  upstream_timeout: 502,
  upstream_invalid_answer: 502,
  upstream_refused: 502,
  upstream_failed: 502,
  site_unreachable: 502,
  upstream_rate_limited: 502,
  scope_missing: 502,
  listing_incomplete: 502,
  listing_empty: 502,
  deletions_held: 502,
  items_skipped: 502,
  invalid_code: 502,
  oauth_misconfigured: 502,
  callback_interrupted: 502,
  interrupted: 503,
  vault_key_exhausted: 503,
  database_busy: 503,
  database_unavailable: 503,
  unavailable: 503
} as const satisfies Record<string, number>

export type ErrorCode = keyof typeof HTTP_STATUS_BY_CODE

/** What a caller is told about one field of the request. `pointer` is an RFC 6901 JSON pointer, or a parameter's name. */
export interface FieldError {
  pointer: string
  detail: string
}

/** What an error may carry beside its sentence; all of it is meant for the caller, but `quiet`: the log is told of many such at once. */
export interface ErrorDetails {
  suppressLog?: boolean
  errors?: FieldError[]
  missing?: Record<string, boolean>
  retryAfterS?: number
  allowedMethods?: string[]
  confirmUrl?: string | undefined
  cursor?: string
}

/**
 * A failure this service foresaw. `code` is stable and for programs, `message` is a sentence for people and is sent as
 * `detail`; `cause` is logged and never sent, so nothing in `message` may come from Atlassian or from the database.
 */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  /** What Atlassian answered with, where it did; for decisions here, never sent. */
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

  /** The same, saying more. */
  withDetails(details: ErrorDetails): AppError {
    return new AppError(this.code, this.message, { ...this.details, ...details, cause: this.cause })
  }

  get status(): number {
    return HTTP_STATUS_BY_CODE[this.code]
  }
}

/** A reason not to start. Each problem is one sentence that names the variable and never its value. */
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
