const PREFIX = '/api'

/** The alias prefix a request came in under, if any: links in its answer keep it (contract.md section 1). */
export function prefixOf (url: string): string {
  return url === PREFIX || url.startsWith(`${PREFIX}/`) ? PREFIX : ''
}

/** The `Link` header of a list that goes on (RFC 8288), keeping path, prefix and every other parameter. */
export function nextLink (url: string, cursor: string): string {
  const [path = '', query = ''] = url.split('?')
  const parameters = new URLSearchParams(query)
  parameters.set('cursor', cursor)
  return `<${path}?${parameters.toString()}>; rel="next"`
}
