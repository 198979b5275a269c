import { gatewayError, jiraError, confluenceError, legacyError, unrouted } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Call, Endpoint } from './call.ts'
import { endpoints as confluence } from '../confluence/endpoints.ts'
import { endpoints as jira } from '../jira/endpoints.ts'
import { allows, productOf } from '../oauth/scopes.ts'
import type { Product } from '../data/sites.ts'
import { parts, readAccess } from '../oauth/tokens.ts'
import type { Session } from '../oauth/tokens.ts'
import type { World } from '../state.ts'

export interface GatewayRequest {
  method: string
  product: Product
  cloudId: string
  /** Below `/ex/{product}/{cloudId}`, undecoded, with its first slash. */
  path: string
  /** The whole path, for Spring's 404. */
  fullPath: string
  query: URLSearchParams
  body: unknown
  token: string | undefined
  base: string
}

const ENDPOINTS: Record<Product, readonly Endpoint[]> = { jira, confluence }
const SCOPE_CHECK = { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' }
const MANY_SCOPES = 80
const TOO_LARGE =
  '<!doctype html><html lang="en"><head><title>HTTP Status 400 – Bad Request</title></head>' +
  '<body><h1>HTTP Status 400 – Bad Request</h1><p>Request header is too large</p></body></html>'

/**
 * One call through `/ex/{product}/{cloudId}`: token, then scopes, then site, then grant, then limits, and only then the
 * route. A 401 for scopes therefore says nothing of whether the route exists (atlassian.md section 6).
 *
 * @returns the answer and the label it is counted under
 */
export function gateway(world: World, request: GatewayRequest): { answer: Answer; label: string } {
  const { method, product, path } = request
  const same = ENDPOINTS[product].filter((endpoint) => endpoint.path.test(path))
  const endpoint = same.find((candidate) => candidate.method === method)
  const label =
    endpoint?.label.replace(' ', ` /ex/${product}/{cloudId}`) ??
    `${method} /ex/${product}/{cloudId}/…`
  return { label, answer: pass(world, request, endpoint, label) }
}

function pass(
  world: World,
  request: GatewayRequest,
  endpoint: Endpoint | undefined,
  label: string
): Answer {
  const { product, cloudId } = request
  const session = readAccess(parts(world), request.token)
  if (session === undefined) return gatewayError(401, 'Unauthorized')
  if (session.scopes.length >= MANY_SCOPES) {
    return { status: 400, body: TOO_LARGE, headers: { 'Content-Type': 'text/html;charset=utf-8' } }
  }
  const inScope =
    endpoint === undefined
      ? session.scopes.some((scope) => productOf(scope) === product)
      : allows(endpoint.scopes, session.scopes)
  if (!inScope) return gatewayError(401, 'Unauthorized; scope does not match', SCOPE_CHECK)
  const site = world.sites.find((candidate) => candidate.cloudId === cloudId)
  if (site === undefined) return unrouted(request.fullPath, world.now())
  const user = world.users.find(({ accountId }) => accountId === session.accountId)
  if (
    user === undefined ||
    !session.grant.cloudIds.has(cloudId) ||
    !site.products.includes(product)
  ) {
    return gatewayError(403, 'The app is not installed on this instance')
  }
  const { headers, refusal } = world.limits.admit({
    clientId: session.clientId,
    cloudId,
    product,
    endpoint: label
  })
  if (refusal !== undefined) return refusal
  const answer = world.access.has(user.accountId, cloudId, product)
    ? serve(
        endpoint,
        {
          world,
          site,
          user,
          hidden: site.restrictions.of(user.accountId),
          params: [],
          query: request.query,
          body: request.body,
          base: request.base,
          path: request.path
        },
        product
      )
    : barred(product, request.path)
  world.limits.charge(session.clientId, answer.objects ?? 0)
  return { ...answer, headers: { ...headers, ...identity(product, session), ...answer.headers } }
}

function serve(endpoint: Endpoint | undefined, call: Call, product: Product): Answer {
  const match = endpoint?.path.exec(call.path)
  if (endpoint === undefined || match === undefined || match === null) {
    return absent(product, call.path)
  }
  return endpoint.run({ ...call, params: match.slice(1).map(decoded) })
}

/** A percent sign that means nothing stays what it is: nothing will be found under it. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function absent(product: Product, path: string): Answer {
  if (product === 'jira') return jiraError(404, 'Not Found')
  return path.startsWith('/wiki/rest/')
    ? legacyError(404, 'Not Found', true)
    : confluenceError(404, 'NOT_FOUND', 'Not Found')
}

/** The person has lost the product, the app has not (atlassian.md section 11). */
function barred(product: Product, path: string): Answer {
  if (product === 'jira') {
    return { status: 403, body: { errorMessages: ['The app is not installed on this instance.'] } }
  }
  if (path.startsWith('/wiki/rest/')) {
    return legacyError(403, 'Current user not permitted to use Confluence', false)
  }
  return confluenceError(404, 'NOT_FOUND', 'Not Found')
}

function identity(product: Product, { accountId }: Session): Record<string, string> {
  return product === 'jira' ? { 'X-Aaccountid': encodeURIComponent(accountId) } : {}
}
