import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isLoopback } from '../../src/config/formats.ts'
import { baseUrlFromRedirectUri } from '../../src/http/public-url.ts'
import { getAliasPrefix } from '../../src/http/pagination.ts'

/**
 * Where browsers reach this service. Never taken from a request, but for development's own loopback names: a clone
 * answers on localhost and 127.0.0.1 alike, and cookies tell the two apart.
 *
 * @param redirectUri one that is registered for this service, if there is one: it tells the address too
 */
export function publicBaseUrl(
  app: FastifyInstance,
  request: FastifyRequest,
  redirectUri: string | null = null
): string {
  const { publicUrl, production, port } = app.config
  const prefix = getAliasPrefix(request.url)
  const registered = redirectUri === null ? null : baseUrlFromRedirectUri(redirectUri)
  if (registered !== null) return registered
  if (publicUrl !== null) return publicUrl.endsWith(prefix) ? publicUrl : publicUrl + prefix
  const host = URL.parse(`http://${request.headers.host ?? ''}`)
  return `http://${!production && host !== null && isLoopback(host.hostname) ? host.host : `localhost:${port}`}${prefix}`
}

/**
 * Where browsers go after a login: the configured front end, else this service's own pages, at the address that the
 * redirect URI is known to work under.
 */
export function frontendBaseUrl(
  app: FastifyInstance,
  request: FastifyRequest,
  redirectUri: string | null
): string {
  if (app.config.frontendUrl !== null) return app.config.frontendUrl
  return publicBaseUrl(app, request, redirectUri)
}
