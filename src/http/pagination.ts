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
 * One page of what was found, which is one more than was asked for where the list goes on.
 *
 * @param url of the request
 * @param toPosition where the list goes on behind a row
 * @returns the page, and the headers that say where the next one is
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

/** The `Link` header of a list that goes on (RFC 8288), keeping path, prefix and every other parameter. */
function buildNextLink(url: string, cursor: string): string {
  const [path = '', query = ''] = url.split('?')
  const parameters = new URLSearchParams(query)
  parameters.set('cursor', cursor)
  return `<${path}?${parameters.toString()}>; rel="next"`
}

/** An http address, with the brackets that IPv6 needs (RFC 3986 section 3.2.2). */
export function buildHttpUrl(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
