import type { FastifyRequest } from 'fastify'
import { AppError } from '../lib/errors.ts'

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

/** Refuses to prepare a page that nobody has asked to see. The browser asks again for the real visit. */
export function refusePrefetch({ headers }: Pick<FastifyRequest, 'headers'>): void {
  const purposes = [headers['sec-purpose'], headers.purpose, headers['x-moz']]
  if (purposes.some((purpose) => String(purpose ?? '').includes('prefetch'))) {
    throw new AppError('forbidden', 'This page is not fetched in advance.')
  }
}
