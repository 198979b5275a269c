import { writeCursor } from './cursor.ts'

const PREFIX = '/api'

/** The alias prefix a request came in under, if any: links in its answer keep it (contract.md section 1). */
export function prefixOf(url: string): string {
  return url === PREFIX || url.startsWith(`${PREFIX}/`) ? PREFIX : ''
}

/**
 * One page of what was found, which is one more than was asked for where the list goes on.
 *
 * @param url of the request
 * @param position where the list goes on behind a row
 * @returns the page, and the headers that say where the next one is
 */
export function pageOf<Row>(
  found: Row[],
  limit: number,
  url: string,
  position: (row: Row) => readonly unknown[]
): { page: Row[]; headers: { link?: string } } {
  const last = found.length > limit ? found[limit - 1] : undefined
  return {
    page: found.slice(0, limit),
    headers: last === undefined ? {} : { link: nextLink(url, writeCursor(position(last))) }
  }
}

/** The `Link` header of a list that goes on (RFC 8288), keeping path, prefix and every other parameter. */
function nextLink(url: string, cursor: string): string {
  const [path = '', query = ''] = url.split('?')
  const parameters = new URLSearchParams(query)
  parameters.set('cursor', cursor)
  return `<${path}?${parameters.toString()}>; rel="next"`
}

/** An http address, with the brackets that IPv6 needs (RFC 3986 section 3.2.2). */
export function httpAddress(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
