import { isStorableText } from '../lib/formats.ts'

/**
 * A target on the front end's own origin, or undefined. Judged by the platform's URL parser and put together again from
 * its parts: what the check saw is what the browser gets.
 *
 * @param target an absolute address, or a path
 * @param frontendUrl the front end's address; only its origin counts
 */
export function validateReturnUrl(target: string, frontendUrl: string): string | undefined {
  // The parser drops tabs and line breaks and reads \ as /: whoever writes them wants to be misread.
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
  // A path that begins with two slashes would be read as a host by whoever resolves it again.
  return url.pathname.startsWith('//')
    ? undefined
    : `${origin}${url.pathname}${url.search}${url.hash}`
}

/** Adds the outcome of a login to an address; parameters of the same name that were there before give way. */
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
  return `${path}?${[...keptPairs, ...outcomePairs].join('&')}${hash.length === 0 ? '' : `#${hash.join('#')}`}`
}

const OUTCOME_PARAMETERS = new Set([
  'provider',
  'status',
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
