/**
 * The path of a request target, without its query. The absolute form contains a host (RFC 9112
 * section 3.2.2), which is left out.
 */
export function getRequestPath(target = ''): string {
  if (!target.startsWith('/')) return target.replace(/^https?:\/\/[^/?#]*|[?#].*$/gis, '')
  const query = target.indexOf('?')
  const path = query === -1 ? target : target.slice(0, query)
  const fragment = path.indexOf('#')
  return fragment === -1 ? path : path.slice(0, fragment)
}
