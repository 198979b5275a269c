import { EXIT_CODES } from './exit.ts'
import { resolveSettings } from '../config/aliases.ts'
import { isHttpBaseUrl } from '../config/formats.ts'
import { SERVICE_SETTINGS } from '../config/schema.ts'
import { StartError } from '../lib/errors.ts'

/**
 * Derives the service's URL from HOST, PORT and PUBLIC_URL. Reads no other setting, because a
 * client needs no secrets.
 *
 * @throws StartError if they form no URL
 */
export function resolveServiceUrl(env: NodeJS.ProcessEnv): string {
  const {
    HOST = '127.0.0.1',
    PORT = String(SERVICE_SETTINGS.PORT.default),
    PUBLIC_URL
  } = resolveSettings(env, ['HOST', 'PORT', 'PUBLIC_URL'], []).values
  if (PUBLIC_URL !== undefined) {
    if (isHttpBaseUrl(PUBLIC_URL)) return PUBLIC_URL
    throw createUrlError(`PUBLIC_URL ${SERVICE_SETTINGS.PUBLIC_URL.rule}.`)
  }
  if (PORT === '0') {
    throw createUrlError('PORT=0 lets the service take any free port. Name that port with --url.')
  }
  const address = `http://${toClientHost(HOST)}:${PORT}`
  if (!/^\d+$/.test(PORT) || !isHttpBaseUrl(address)) {
    throw createUrlError('HOST and PORT form no address. Name the address with --url.')
  }
  return address
}

/** A host that connections can be made to: the wildcard addresses are for listening only. */
function toClientHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

function createUrlError(problem: string): StartError {
  return new StartError([problem], EXIT_CODES.configuration)
}
