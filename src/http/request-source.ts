import type { FastifyRequest } from 'fastify'
import type { Config } from '../config/config.ts'
import { isLoopback, isLoopbackOrigin } from '../config/formats.ts'
import { AppError } from '../lib/errors.ts'

/** Content types that a page may send to another site without asking first (Fetch standard). */
const SIMPLE_CONTENT_TYPE =
  /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(;|$)/i

/** Refuses what HTTP allows to be read in two ways: several Host headers, HTTP/0.9. */
export function assertUnambiguous({ raw: { rawHeaders, httpVersion } }: FastifyRequest): void {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    throw new AppError('bad_request', 'Use HTTP/1.1.')
  }
  const hostCount = countHeader(rawHeaders, 'host')
  if (hostCount > 1) throw new AppError('bad_request', 'Send one Host header.')
  // RFC 9112 section 3.2. Node rejects it too, but without a problem document.
  if (hostCount === 0 && httpVersion === '1.1') {
    throw new AppError('bad_request', 'The Host header is missing.')
  }
}

/**
 * How often a request has a header: Node keeps the first of several.
 *
 * @param rawHeaders names and values in turn, as Node has them
 * @param name in lower case
 */
export function countHeader(rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]
    if (header?.length === name.length && header.toLowerCase() === name) count++
  }
  return count
}

/**
 * Whether a request is addressed to a name of this service. A web site whose own name points here
 * (DNS rebinding) is not. The name is the one that a trusted proxy reports, else the request's.
 *
 * @param allowedHosts null: every name is one of this service
 */
export function isAddressedHere(
  request: FastifyRequest,
  allowedHosts: readonly string[] | null
): boolean {
  if (allowedHosts === null) return true
  // The absolute form of a request target overrides the Host header (RFC 9112 section 3.2.2).
  const target = request.originalUrl.startsWith('/')
    ? undefined
    : /^https?:\/\/([^/?#]*)/i.exec(request.originalUrl)?.[1]
  return [request.host, target]
    .filter((host) => host !== undefined && host !== '')
    .every((host) => {
      const hostname = URL.parse(`http://${host}`)?.hostname ?? ''
      return isLoopback(hostname) || allowedHosts.includes(hostname)
    })
}

/**
 * Whether a page of another site sent the request without its browser asking first (CORS
 * preflight), so that CORS alone would let it take effect. Configured origins may do so.
 */
export function isForgedByOtherSite(
  { method, headers }: FastifyRequest,
  { corsOrigins, production }: Pick<Config, 'corsOrigins' | 'production'>
): boolean {
  if (method !== 'POST' || headers['sec-fetch-site'] !== 'cross-site') return false
  const { origin = '', authorization, 'content-type': contentType = 'text/plain' } = headers
  if (Array.isArray(corsOrigins) && corsOrigins.includes(origin)) return false
  if (!production && isLoopbackOrigin(origin)) return false
  return authorization === undefined && SIMPLE_CONTENT_TYPE.test(contentType)
}

/**
 * Whether a page may call the service in development with an Atlassian app: one of this machine,
 * of the service itself, or of a configured origin. Requests without an origin are no page's.
 */
export function isKnownOrigin(
  { headers, host }: FastifyRequest,
  corsOrigins: Config['corsOrigins']
): boolean {
  const { origin, 'sec-fetch-site': site } = headers
  // Browsers send `null` for forms of pages with `Referrer-Policy: no-referrer`, as ours are.
  if (origin === undefined || (origin === 'null' && site === 'same-origin')) return true
  return (
    corsOrigins === 'any' ||
    (Array.isArray(corsOrigins) && corsOrigins.includes(origin)) ||
    isLoopbackOrigin(origin) ||
    URL.parse(origin)?.host === host
  )
}
