/** Responses may not load, run, frame or send anything. HTML pages have a policy of their own. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Headers of every response, also of those that Fastify or Node sends before any plugin runs. */
export const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY'
}

/** For https: half a year, without includeSubDomains, because other hosts of the domain are not ours. */
export const HSTS_HEADER = { 'strict-transport-security': 'max-age=15552000' }
