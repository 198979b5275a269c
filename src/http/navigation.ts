import type { FastifyRequest } from 'fastify'

/**
 * Whether a person's browser opens a page with this request. Browsers send Fetch Metadata
 * (`Sec-Fetch-*`) only to secure origins; elsewhere the accepted type has to tell.
 */
export function isNavigation({ method, headers }: Pick<FastifyRequest, 'method' | 'headers'>) {
  const { accept = '', 'sec-fetch-mode': mode, 'sec-fetch-dest': destination } = headers
  if (method !== 'GET' && method !== 'POST') return false
  if (!accept.includes('text/html')) return false
  return mode === undefined || (mode === 'navigate' && destination === 'document')
}
