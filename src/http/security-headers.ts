/** Nothing that is answered here may load, run, frame or send anything. Pages say in a policy of their own what they need. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/**
 * What every answer says to browsers, also where Fastify or Node answers before any plugin runs: it is personal, it is what it
 * says it is, it tells the next site nothing, and no other page may frame or embed it.
 */
export const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY'
}

/** For answers that came by https: half a year, and only this host; what else its domain serves is not ours to decide. */
export const HSTS_HEADER = { 'strict-transport-security': 'max-age=15552000' }
