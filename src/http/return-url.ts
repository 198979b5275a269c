import { AppError } from '../lib/errors.ts'
import { isStorableText } from '../lib/formats.ts'

/**
 * Returns the target as a URL on the origin of the front end, or undefined. The result is built
 * from the parsed parts, so the browser gets exactly what was checked.
 *
 * @param target an absolute URL, or a path
 * @param frontendUrl only its origin counts
 */
export function validateReturnUrl(target: string, frontendUrl: string): string | undefined {
  // The URL parser drops tabs and line breaks and reads \ as /; such targets are attacks.
  if (
    !isStorableText(target) ||
    /[\s\\\p{Cc}]/u.test(target) ||
    !/^(\/(?!\/)|https?:\/\/[^/])/i.test(target)
  ) {
    return undefined
  }
  const url = URL.parse(target, frontendUrl)
  const { origin } = new URL(frontendUrl)
  if (url === null || url.origin !== origin || url.username !== '' || url.password !== '') {
    return undefined
  }
  // A path that starts with two slashes names a host when it is resolved again.
  return url.pathname.startsWith('//')
    ? undefined
    : `${origin}${url.pathname}${url.search}${url.hash}`
}

/** @throws AppError `validation_failed` unless the target is on the origin of the front end */
export function requireReturnUrl(target: string, frontendUrl: string): string {
  const url = validateReturnUrl(target, frontendUrl)
  if (url !== undefined) return url
  const { origin } = new URL(frontendUrl)
  const detail = `The URL must be a path, or have the origin of APP_FRONTEND_URL: ${origin}.`
  throw new AppError('validation_failed', detail, { errors: [{ pointer: '/return_url', detail }] })
}

/** Adds the outcome of a login to a URL and replaces parameters of the same names. */
export function appendOutcome(target: string, outcome: Record<string, string | undefined>): string {
  const [beforeHash = '', ...hash] = target.split('#')
  const [path = '', ...query] = beforeHash.split('?')
  const keptPairs = query
    .join('?')
    .split('&')
    .filter((pair) => pair !== '' && !isOutcomeParameter(pair.split('=')[0] ?? ''))
  const outcomePairs = Object.entries(outcome).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]
  )
  const fragment = hash.length === 0 ? '' : `#${hash.join('#')}`
  return `${path}?${[...keptPairs, ...outcomePairs].join('&')}${fragment}`
}

const OUTCOME_PARAMETERS = new Set([
  'provider',
  'status',
  'connection_state',
  'user_id',
  'state',
  'error',
  'message',
  'confirm_url',
  'request_id'
])

function isOutcomeParameter(name: string): boolean {
  return OUTCOME_PARAMETERS.has([...new URLSearchParams(name).keys()][0] ?? '')
}
