import type { FastifyRequest } from 'fastify'
import { isLoopback } from '../config/formats.ts'
import type { Config } from '../config/config.ts'
import { getAliasPrefix } from './pagination.ts'

/** How callback paths end, under any prefix. */
const CALLBACK_PATTERN = /\/(auth\/[a-z]+|oauth\/atlassian)\/callback\/?$/

/** The base URL of this service that a redirect URI implies: everything before the callback path. */
function baseUrlFromRedirectUri(redirectUri: string): string | null {
  const { origin, pathname } = new URL(redirectUri)
  return CALLBACK_PATTERN.test(pathname) ? origin + pathname.replace(CALLBACK_PATTERN, '') : null
}

/** The first redirect URI that implies the base URL of this service; null if none does. */
export function findRedirectUriWithBaseUrl({ clients }: Pick<Config, 'clients'>): string | null {
  return (
    Object.values(clients)
      .map(({ redirectUri }) => redirectUri)
      .find((uri) => uri !== null && baseUrlFromRedirectUri(uri) !== null) ?? null
  )
}

/** Whether browsers reach this service over https, according to the settings. */
export function isServedOverHttps(config: Pick<Config, 'clients' | 'publicUrl'>): boolean {
  return (findRedirectUriWithBaseUrl(config) ?? config.publicUrl ?? '').startsWith('https:')
}

/**
 * The base URL under which browsers reach this service. Never taken from a request, except for
 * loopback names in development: a clone answers on localhost and 127.0.0.1 alike, and cookies
 * tell the two apart.
 *
 * @param redirectUri a redirect URI registered for this service, if any; it implies the base URL
 */
export function publicBaseUrl(
  { config: { publicUrl, production, port } }: { config: Config },
  request: FastifyRequest,
  redirectUri: string | null = null
): string {
  const prefix = getAliasPrefix(request.url)
  const registered = redirectUri === null ? null : baseUrlFromRedirectUri(redirectUri)
  if (registered !== null) return registered
  if (publicUrl !== null) return publicUrl.endsWith(prefix) ? publicUrl : publicUrl + prefix
  const host = URL.parse(`http://${request.headers.host ?? ''}`)
  const isLocal = !production && host !== null && isLoopback(host.hostname)
  return `http://${isLocal ? host.host : `localhost:${port}`}${prefix}`
}

/** Where browsers go after a login: the configured front end, else the pages of this service. */
export function frontendBaseUrl(
  app: { config: Config },
  request: FastifyRequest,
  redirectUri: string | null
): string {
  return app.config.frontendUrl ?? publicBaseUrl(app, request, redirectUri)
}

/** Builds the URL of a server. An IPv6 address is put into brackets (RFC 3986 section 3.2.2). */
export function buildHttpUrl(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
