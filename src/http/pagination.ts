import { encodeCursor } from './cursor.ts'

const ALIAS_PREFIX = '/api'

/**
 * The alias prefix a request came in under, if any: links in its answer keep it
 * (docs/reference/contract.md#1-endpoints).
 */
export function getAliasPrefix(url: string): string {
  return url === ALIAS_PREFIX || url.startsWith(`${ALIAS_PREFIX}/`) ? ALIAS_PREFIX : ''
}

/**
 * Cuts rows to one page.
 *
 * @param rows up to `limit + 1` rows; the extra one shows that there is a next page
 * @param url URL of the request
 * @param toPosition position of the list after a row
 * @returns the page, and a `Link` header if there is a next page
 */
export function paginate<Row>(
  rows: Row[],
  limit: number,
  url: string,
  toPosition: (row: Row) => readonly unknown[]
): { page: Row[]; headers: { link?: string } } {
  const lastRow = rows.length > limit ? rows[limit - 1] : undefined
  return {
    page: rows.slice(0, limit),
    headers:
      lastRow === undefined ? {} : { link: buildNextLink(url, encodeCursor(toPosition(lastRow))) }
  }
}

/**
 * The `Link` header of the next page (RFC 8288). Keeps all other parameters. The reference has a
 * query only, so a client resolves it against the URL that it has called (RFC 3986 section 5.2.2),
 * whatever prefix a proxy strips or adds.
 */
function buildNextLink(url: string, cursor: string): string {
  const parameters = new URLSearchParams(url.split('?')[1] ?? '')
  parameters.set('cursor', cursor)
  return `<?${parameters.toString()}>; rel="next"`
}

/**
 * A reference from the URL of a request to a path below it, for `Location`. Relative, so that it
 * is right whatever prefix a proxy strips or adds.
 *
 * @param url URL of the request
 * @param path path below the request's, without a leading slash
 */
export function buildRelativeReference(url: string, path: string): string {
  const [requestPath = ''] = url.split('?')
  // The reference replaces what follows the last slash (RFC 3986 section 5.2.3).
  const lastSegment = requestPath.slice(requestPath.lastIndexOf('/') + 1)
  return lastSegment === '' ? path : `${lastSegment}/${path}`
}
