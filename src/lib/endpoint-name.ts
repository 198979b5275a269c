/** Numbers, issue keys, UUIDs and other long values. */
const ID_SEGMENT =
  /^(\d+|[A-Z][A-Z0-9_]*-\d+|[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}|.{41,})$/i

/** A URL of Atlassian's gateway, taken apart. Product and site are empty for other URLs. */
export interface EndpointName {
  product: string
  cloudId: string
  /** Method, product and path, with `{id}` for each id: `GET jira/rest/api/3/issue/{id}`. */
  endpoint: string
}

/** Names the endpoint that a call uses, so that calls that differ by ids have one name. */
export function nameEndpoint(method: string, url: string): EndpointName {
  const { pathname } = new URL(url)
  const [, product = '', cloudId = '', path = pathname] =
    /\/ex\/([^/]+)\/([^/]+)(\/.*)$/s.exec(pathname) ?? []
  const template = path
    .split('/')
    .map((segment) => (ID_SEGMENT.test(segment) ? '{id}' : segment))
    .join('/')
  return { product, cloudId, endpoint: `${method} ${product}${template}` }
}
