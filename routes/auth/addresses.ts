import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isLoopback } from '../../src/config/formats.ts'
import { prefixOf } from '../../src/paths.ts'

/** The ends of the callback paths, as they may be registered under any prefix. */
const CALLBACK = /\/(auth\/[a-z]+|oauth\/atlassian)\/callback\/?$/

/**
 * Where browsers reach this service. Never taken from a request, but for development's own loopback names: a clone
 * answers on localhost and 127.0.0.1 alike, and cookies tell the two apart.
 */
export function ownAddress (app: FastifyInstance, request: FastifyRequest): string {
  const { publicUrl, production, port } = app.config
  const prefix = prefixOf(request.url)
  if (publicUrl !== null) return publicUrl.endsWith(prefix) ? publicUrl : publicUrl + prefix
  const host = URL.parse(`http://${request.headers.host ?? ''}`)
  return `http://${!production && host !== null && isLoopback(host.hostname) ? host.host : `localhost:${port}`}${prefix}`
}

/**
 * Where browsers go after a login: the configured front end, else this service's own pages, at the address that the
 * redirect URI is known to work under.
 */
export function frontEnd (app: FastifyInstance, request: FastifyRequest, redirectUri: string | null): string {
  if (app.config.frontendUrl !== null) return app.config.frontendUrl
  if (redirectUri !== null && CALLBACK.test(new URL(redirectUri).pathname)) {
    const { origin, pathname } = new URL(redirectUri)
    return origin + pathname.replace(CALLBACK, '')
  }
  return ownAddress(app, request)
}
