import type { FastifyRequest } from 'fastify'

/**
 * Whether a person's browser opens a page with this request. Browsers send Fetch Metadata
 * (`Sec-Fetch-*`) only to secure origins; elsewhere the accepted type has to tell.
 */
export function isNavigation({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const { accept = '', 'sec-fetch-mode': mode, 'sec-fetch-dest': destination } = headers
  return mode === undefined
    ? accept.includes('text/html')
    : mode === 'navigate' && destination === 'document'
}
