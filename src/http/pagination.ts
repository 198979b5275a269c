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

/** The `Link` header of the next page (RFC 8288). Keeps path, prefix and all other parameters. */
function buildNextLink(url: string, cursor: string): string {
  const [path = '', query = ''] = url.split('?')
  const parameters = new URLSearchParams(query)
  parameters.set('cursor', cursor)
  return `<${path}?${parameters.toString()}>; rel="next"`
}
