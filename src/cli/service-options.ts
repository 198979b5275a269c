import { EXIT_CODES } from './exit.ts'
import { resolveServiceUrl } from './service-url.ts'
import { isHttpBaseUrl } from '../config/formats.ts'
import { readSecretFile } from '../config/secret-files.ts'
import { StartError } from '../lib/errors.ts'

/** The options of commands that call a running service. */
export const SERVICE_OPTIONS = {
  url: {
    flags: '--url <url>',
    description: 'The address of the service. Default: PUBLIC_URL, or HOST and PORT.',
    rule: 'must be an http(s) address without credentials, query or fragment',
    parse: (text: string) => (isHttpBaseUrl(text) ? text : undefined)
  },
  key: {
    flags: '--key <key>',
    description:
      'The API key. Prefer CONNECTOR_API_KEY: other users of the machine can read command lines.',
    rule: 'must be an API key',
    parse: parseKey
  }
} as const

/** The address of the service, without a trailing slash. */
export function resolveBaseUrl(url: string | undefined): string {
  return new URL(url ?? resolveServiceUrl(process.env)).href.replace(/(?<!\/)\/+$/, '')
}

/**
 * Reads the API key from CONNECTOR_API_KEY, or from the file that CONNECTOR_API_KEY_FILE names.
 *
 * @throws StartError if it is no key, or the file is unusable
 */
export function readKeyFromEnv(): string | undefined {
  const text = process.env.CONNECTOR_API_KEY?.trim() ?? ''
  const path = process.env.CONNECTOR_API_KEY_FILE?.trim() ?? ''
  if (text === '' && path === '') return undefined
  const { value = text, problem } =
    text === '' ? readSecretFile({ variable: 'CONNECTOR_API_KEY_FILE', path }) : {}
  if (problem !== undefined) throw new StartError([problem], EXIT_CODES.configuration)
  const key = parseKey(value)
  if (key === undefined) {
    throw new StartError(['CONNECTOR_API_KEY must be an API key.'], EXIT_CODES.configuration)
  }
  return key
}

/** What HTTP allows as a bearer token (RFC 6750 section 2.1). */
function parseKey(text: string): string | undefined {
  return /^[\w.~+/-]+=*$/.test(text) ? text : undefined
}
