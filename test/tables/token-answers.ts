/** What the token endpoint may answer to a code, and what becomes of the login. */
export interface TokenAnswer {
  title: string
  fault: Record<string, unknown>
  error: string
  /** There was an answer, so its trace id is in the log. */
  traced?: boolean
}

/** A word that must never come back out: it stands in every body. */
export const CANARY = 'canary-in-the-body'

const TRACE = { 'atl-traceid': '0123456789abcdef0123456789abcdef' }
const status = (code: number, body: unknown = { message: CANARY }) => ({
  kind: 'status',
  status: code,
  body,
  headers: TRACE
})
const oauth = (error: unknown) => ({ error, error_description: CANARY })
const answered = (title: string, error: string, fault: Record<string, unknown>): TokenAnswer => ({
  title,
  fault,
  error,
  traced: true
})

export const REFUSALS: readonly TokenAnswer[] = [
  answered('400 invalid_request', 'code_refused', status(400, oauth('invalid_request'))),
  answered('403 invalid_grant', 'code_refused', status(403, oauth('invalid_grant'))),
  answered('403 unauthorized_client', 'code_refused', status(403, oauth('unauthorized_client'))),
  answered(
    '400 unsupported_grant_type',
    'code_refused',
    status(400, oauth('unsupported_grant_type'))
  ),
  answered('an error nobody has seen yet', 'code_refused', status(418, oauth('teapot'))),
  answered('401 access_denied', 'oauth_misconfigured', status(401, oauth('access_denied'))),
  answered('401 invalid_client', 'oauth_misconfigured', status(401, oauth('invalid_client'))),
  answered('400 invalid_client', 'oauth_misconfigured', status(400, oauth('invalid_client'))),
  answered('401 without a reason', 'upstream_refused', status(401)),
  answered('403 as HTML', 'upstream_refused', {
    kind: 'html',
    status: 403,
    body: `<p>${CANARY}`,
    headers: TRACE
  }),
  answered('404', 'upstream_refused', status(404)),
  answered('an error that is no word', 'upstream_refused', status(400, oauth({ toString: 1 }))),
  answered('429', 'upstream_rate_limited', status(429)),
  answered('429 with a reason', 'upstream_rate_limited', status(429, oauth('rate_limited'))),
  answered('500', 'upstream_failed', status(500)),
  answered('500 that speaks OAuth', 'upstream_failed', status(500, oauth('invalid_grant'))),
  answered('502 as HTML', 'upstream_failed', {
    kind: 'html',
    body: `<h1>${CANARY}`,
    headers: TRACE
  }),
  answered('503', 'upstream_failed', status(503)),
  answered('504', 'upstream_failed', status(504)),
  answered('200 as HTML', 'upstream_invalid_answer', {
    kind: 'html',
    status: 200,
    body: `<h1>${CANARY}`,
    headers: TRACE
  }),
  answered('200 with garbage', 'upstream_invalid_answer', {
    kind: 'garbage',
    body: `{"access_token": "${CANARY}"`,
    headers: TRACE
  }),
  answered('200 with nothing', 'upstream_invalid_answer', status(200, '')),
  answered('204', 'upstream_invalid_answer', status(204, '')),
  answered('200 with null', 'upstream_invalid_answer', status(200, null)),
  answered('200 with a list', 'upstream_invalid_answer', status(200, [{ access_token: CANARY }])),
  answered('200 with a text', 'upstream_invalid_answer', status(200, JSON.stringify(CANARY))),
  answered(
    '200 without an access token',
    'upstream_invalid_answer',
    status(200, { token_type: 'Bearer', expires_in: 3600, refresh_token: CANARY })
  ),
  answered(
    '200 with an empty access token',
    'upstream_invalid_answer',
    status(200, { access_token: '', refresh_token: CANARY })
  ),
  answered(
    '200 with a number for an access token',
    'upstream_invalid_answer',
    status(200, { access_token: 42, note: CANARY })
  ),
  answered(
    '200 with null for an access token',
    'upstream_invalid_answer',
    status(200, { access_token: null, note: CANARY })
  ),
  answered('200 with an error', 'upstream_invalid_answer', status(200, oauth('invalid_grant'))),
  answered('a redirect to another host', 'upstream_invalid_answer', {
    kind: 'redirect',
    headers: { location: `https://evil.example/${CANARY}`, ...TRACE }
  }),
  answered('a redirect that keeps the method', 'upstream_invalid_answer', {
    kind: 'redirect',
    status: 307,
    headers: { location: '/oauth/token', ...TRACE }
  }),
  answered('a redirect for good', 'upstream_invalid_answer', {
    kind: 'redirect',
    status: 308,
    headers: { location: '/oauth/token', ...TRACE }
  }),
  {
    title: '33 megabytes',
    error: 'upstream_invalid_answer',
    fault: { kind: 'huge', bytes: 34_000_000 }
  },
  { title: 'half an answer', error: 'upstream_unreachable', fault: { kind: 'truncate' } },
  {
    title: 'a closed connection, before the work',
    error: 'upstream_unreachable',
    fault: { kind: 'drop-before' }
  },
  {
    title: 'a closed connection, after the work',
    error: 'upstream_unreachable',
    fault: { kind: 'drop-after' }
  },
  { title: 'silence', error: 'upstream_timeout', fault: { kind: 'hang' } },
  {
    title: 'an answer that is too late',
    error: 'upstream_timeout',
    fault: { kind: 'delay', delay_ms: 5_000 }
  }
]

/** Odd answers that are good enough, by what is odd about them. */
export const ODD: Record<string, Record<string, unknown>> = {
  'no lifetime': {},
  'a lifetime in quotes': { expires_in: '3600' },
  'a lifetime of nothing': { expires_in: 0 },
  'a lifetime in the past': { expires_in: -5 },
  'a lifetime of a century': { expires_in: 3_153_600_000 },
  'a lifetime that is a word': { expires_in: 'soon' },
  'a lifetime that is null': { expires_in: null },
  'a lifetime beyond numbers': { expires_in: '1e999' },
  'scopes as a list': { scope: ['read:jira-work', 'offline_access'] },
  'scopes with commas': { scope: 'read:jira-work,offline_access' },
  'no scopes': { scope: undefined },
  'empty scopes': { scope: '' },
  'scopes that are a number': { scope: 7 },
  'a list of scopes with strangers in it': { scope: ['read:jira-work', 7, null] },
  'no refresh token': { refresh_token: undefined },
  'an empty refresh token': { refresh_token: '' },
  'another spelling of bearer': { token_type: 'bearer' },
  'no token type': { token_type: undefined },
  'fields nobody knows': { note: CANARY, __proto__x: 1 }
}
