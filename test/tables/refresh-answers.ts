import { CANARY } from './token-answers.ts'

/** What the token endpoint may answer to a refresh, and what becomes of the connection. */
export interface RefreshAnswer {
  title: string
  /** @param now the time at the token endpoint */
  fault: (now: number) => Record<string, unknown>
  to: 'degraded' | 'needs_reconnect' | 'misconfigured'
  /** Of the problem that the caller gets, and of the history. */
  code: RegExp
  /** How often the token endpoint is asked. */
  calls: 1 | 2
  /** Seconds until it may be asked again, at least and at most. */
  wait: readonly [number, number]
}

/** Two seconds, a third more or less: what the first failure costs. */
const SHORT = [1, 3] as const
const HTML = `<!doctype html><html><body><h1>${CANARY}</h1></body></html>`

const status =
  (code: number, body: unknown = { message: CANARY }, headers = {}) =>
  () => ({ kind: 'status', status: code, body, headers })
const html = (code: number) => () => ({ kind: 'html', status: code, body: HTML })
const oauth = (error: unknown, description = CANARY) => ({ error, error_description: description })
const row =
  (to: RefreshAnswer['to'], code: string, calls: 1 | 2) =>
  (
    title: string,
    fault: RefreshAnswer['fault'],
    wait: RefreshAnswer['wait'] = SHORT
  ): RefreshAnswer => ({ title, fault, to, code: new RegExp(`^${code}$`), calls, wait })

const ended = row('needs_reconnect', 'needs_reconnect', 1)
const operators = row('misconfigured', 'oauth_misconfigured', 1)
const refused = row('degraded', 'upstream_refused', 1)
const limited = row('degraded', 'upstream_rate_limited', 1)
const failed = row('degraded', 'upstream_failed', 1)
const odd = row('degraded', 'upstream_invalid_answer', 2)
const closed = row('degraded', 'upstream_unreachable', 2)
const silent = row('degraded', 'upstream_timeout', 2)

/** Only these two words end a consent. */
export const ENDED: readonly RefreshAnswer[] = [
  ended(
    '403 unauthorized_client',
    status(403, oauth('unauthorized_client', 'refresh_token is invalid'))
  ),
  ended(
    '403 invalid_grant, as documented',
    status(403, oauth('invalid_grant', 'Unknown or invalid refresh token.'))
  ),
  ended(
    '403 invalid_grant, in other words',
    status(403, oauth('invalid_grant', 'Token has been expired or revoked.'))
  ),
  ended('400 invalid_grant', status(400, oauth('invalid_grant'))),
  ended('401 unauthorized_client', status(401, oauth('unauthorized_client')))
]

/** These are the operator's to mend. */
export const OPERATORS: readonly RefreshAnswer[] = [
  operators('401 access_denied', status(401, oauth('access_denied', 'Unauthorized'))),
  operators('403 access_denied', status(403, oauth('access_denied'))),
  operators('401 invalid_client', status(401, oauth('invalid_client'))),
  operators('400 invalid_client', status(400, oauth('invalid_client')))
]

/** All of this passes. */
export const PASSING: readonly RefreshAnswer[] = [
  refused(
    '400 invalid_request',
    status(400, oauth('invalid_request', 'authorization_code is invalid'))
  ),
  refused('400 unsupported_grant_type', status(400, oauth('unsupported_grant_type'))),
  refused('an error nobody has seen yet', status(418, oauth('teapot'))),
  refused('401 without a reason', status(401)),
  refused('401 with an empty body', status(401, '')),
  refused('400 as HTML', html(400)),
  refused('403 as HTML', html(403)),
  refused('404', status(404)),
  refused('an error that is no word', status(403, oauth({ invalid_grant: true }))),
  refused('a list of errors', status(403, oauth(['invalid_grant']))),
  refused('an error in capitals', status(403, oauth('INVALID_GRANT'))),
  refused(
    'an error that is only described',
    status(403, { error_description: `invalid_grant ${CANARY}` })
  ),
  limited('429', status(429)),
  limited('429 as HTML', html(429)),
  limited(
    '429 with Retry-After',
    status(429, { message: CANARY }, { 'retry-after': '120' }),
    [119, 120]
  ),
  limited(
    '429 with a date to come back at',
    (now) => status(429, '', { 'retry-after': new Date(now + 90_000).toUTCString() })(),
    [88, 90]
  ),
  limited(
    '429 with only the time of the reset',
    (now) => status(429, '', { 'x-ratelimit-reset': new Date(now + 90_000).toISOString() })(),
    [88, 90]
  ),
  limited('429 with a day to wait', status(429, '', { 'retry-after': '86400' }), [3599, 3600]),
  limited('429 with nonsense to wait for', status(429, '', { 'retry-after': 'soon' })),
  limited('429 that asks for no wait', status(429, '', { 'retry-after': '0' })),
  failed('500', status(500)),
  failed('500 that speaks OAuth', status(500, oauth('invalid_grant'))),
  failed('502 as HTML', html(502)),
  failed('503', status(503)),
  failed(
    '503 with Retry-After',
    status(503, { message: CANARY }, { 'retry-after': '30' }),
    [29, 30]
  ),
  failed('503 with a day to wait', status(503, '', { 'retry-after': '86400' }), [3599, 3600]),
  failed('504', status(504, '')),
  odd('200 as HTML', html(200)),
  odd('200 with garbage', () => ({ kind: 'garbage', body: `{"access_token": "${CANARY}"` })),
  odd('200 with nothing', status(200, '')),
  odd('204', status(204, '')),
  odd('200 with null', status(200, null)),
  odd('200 with a list', status(200, [{ access_token: CANARY }])),
  odd('200 with a text', status(200, JSON.stringify(CANARY))),
  odd(
    '200 with lists in lists',
    status(200, '['.repeat(50_000) + `"${CANARY}"` + ']'.repeat(50_000))
  ),
  odd(
    '200 without an access token',
    status(200, { token_type: 'Bearer', expires_in: 3600, refresh_token: CANARY })
  ),
  odd('200 with an empty access token', status(200, { access_token: '', refresh_token: CANARY })),
  odd(
    '200 with a number for an access token',
    status(200, { access_token: 42, refresh_token: CANARY })
  ),
  odd(
    '200 with a list for an access token',
    status(200, { access_token: [CANARY], refresh_token: CANARY })
  ),
  odd(
    '200 with null for an access token',
    status(200, { access_token: null, refresh_token: CANARY })
  ),
  odd('200 with an error', status(200, oauth('invalid_grant'))),
  odd('a redirect to another host', () => ({
    kind: 'redirect',
    headers: { location: `https://evil.example/${CANARY}` }
  })),
  odd('a redirect that keeps the method', () => ({
    kind: 'redirect',
    status: 307,
    headers: { location: '/oauth/token' }
  })),
  row(
    'degraded',
    'upstream_(invalid_answer|timeout)',
    2
  )('33 megabytes', () => ({ kind: 'huge', bytes: 34_000_000 })),
  closed('half an answer', () => ({ kind: 'truncate' })),
  closed('a closed connection, before the work', () => ({ kind: 'drop-before' })),
  closed('a closed connection, after the work', () => ({ kind: 'drop-after' })),
  silent('silence', () => ({ kind: 'hang' })),
  silent('an answer that is too late', () => ({ kind: 'delay-after', delay_ms: 3_000 }))
]

/** Odd answers that are good enough to go on with, by what is odd about them: fields to put over good ones. */
export const GOOD_ENOUGH: Record<string, Record<string, unknown>> = {
  'no lifetime': { expires_in: undefined },
  'a lifetime in quotes': { expires_in: '3600' },
  'a lifetime of two minutes': { expires_in: 120 },
  'a lifetime of nothing': { expires_in: 0 },
  'a lifetime in the past': { expires_in: -5 },
  'a lifetime of a century': { expires_in: 3_153_600_000 },
  'a lifetime that is a word': { expires_in: CANARY },
  'a lifetime that is null': { expires_in: null },
  'a lifetime that is a list': { expires_in: [[7_200]] },
  'a lifetime beyond numbers': { expires_in: '1e999' },
  'scopes with commas': { scope: 'read:jira-work,read:jira-user,read:me,offline_access' },
  'scopes as a list': {
    scope: ['read:jira-work', 'read:jira-user', 'read:me', 'offline_access', 7, null]
  },
  'no scopes': { scope: undefined },
  'empty scopes': { scope: '' },
  'an empty list of scopes': { scope: [] },
  'scopes that are a number': { scope: 7 },
  'no refresh token': { refresh_token: undefined },
  'an empty refresh token': { refresh_token: '' },
  'a number for a refresh token': { refresh_token: 42 },
  'null for a refresh token': { refresh_token: null },
  'no token type': { token_type: undefined },
  'fields nobody knows': { note: CANARY, error: 'invalid_grant' }
}

/** What the gateway may answer to a call with a good token (atlassian.md section 11), and what comes of it. */
export interface GatewayAnswer {
  title: string
  fault: Record<string, unknown>
  /** What becomes of the run: the other collection is copied where only this one is refused. */
  state: 'succeeded' | 'partial' | 'failed' | 'parked'
  error: string | null
  /** How often the page is asked for, and the token refreshed. */
  calls: number
  refreshes: 0 | 1
}

const gateway =
  (state: GatewayAnswer['state'], error: string | null, calls: number, refreshes: 0 | 1) =>
  (title: string, code: number, body: unknown, rest = {}): GatewayAnswer => ({
    title,
    fault: { kind: 'status', status: code, body, ...rest },
    state,
    error,
    calls,
    refreshes
  })

const PLAIN = { code: 401, message: 'Unauthorized' }
const mended = gateway('succeeded', null, 2, 1)
const passes = gateway('succeeded', null, 2, 0)
const scope = gateway('partial', 'scope_missing', 1, 0)
const gone = gateway('failed', 'site_unreachable', 1, 0)
const no = gateway('partial', 'upstream_refused', 1, 0)
const trouble = (calls: number) => gateway('partial', 'upstream_failed', calls, 0)

export const GATEWAY: readonly GatewayAnswer[] = [
  mended('401', 401, PLAIN),
  mended('401 with an empty body', 401, ''),
  mended('401 as HTML', 401, HTML, { kind: 'html' }),
  mended('401 that speaks of something else', 401, {
    code: 401,
    message: `Unauthorized; ${CANARY}`
  }),
  gateway('partial', 'upstream_refused', 2, 1)('401 again and again', 401, PLAIN, { times: 9 }),
  scope(
    '401 for a scope',
    401,
    { code: 401, message: 'Unauthorized; scope does not match' },
    { times: 9 }
  ),
  scope('401 for a scope, said only in a header', 401, '', {
    times: 9,
    headers: { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' }
  }),
  gone('403 of an app that is not installed', 403, {
    code: 403,
    message: 'The app is not installed on this instance'
  }),
  gone("403 of an app that is not installed, in Jira's words", 403, {
    errorMessages: ['The app is not installed on this instance.']
  }),
  gone('404 for a site that is none', 404, {
    timestamp: '2026-05-28T00:00:00.000+00:00',
    status: 404,
    error: 'Not Found',
    path: '/ex/jira/cloud-id/rest/api/3/project/search'
  }),
  no('403 for want of a permission', 403, { errorMessages: [CANARY], errors: {} }),
  no('403 as HTML', 403, HTML, { kind: 'html' }),
  no('404', 404, { errorMessages: [CANARY], errors: {} }),
  no('410', 410, { errorMessages: [CANARY], errors: {} }),
  no('400 for too many scopes', 400, HTML, { kind: 'html' }),
  no('404 without a name', 404, {
    errors: [{ status: 404, code: 'NOT_FOUND', title: 'Not Found', detail: CANARY }]
  }),
  gateway('parked', 'upstream_rate_limited', 1, 0)('429 for an hour', 429, '', {
    headers: { 'retry-after': '3600' }
  }),
  gateway('parked', 'upstream_rate_limited', 1, 0)('503 for an hour', 503, '', {
    headers: { 'retry-after': '3600' }
  }),
  passes('429 for a moment', 429, '', { headers: { 'retry-after': '0' } }),
  passes('502', 502, HTML, { kind: 'html' }),
  passes('503', 503, ''),
  passes('504', 504, ''),
  trouble(4)('502 again and again', 502, HTML, { kind: 'html', times: 9 }),
  trouble(6)('504 again and again, to pages of 100, 50, 25, 12, 6 and 5', 504, '', { times: 9 })
]
