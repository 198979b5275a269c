import { gatewayError, routeNotFound } from './answer.ts'
import type { SandboxResponse } from './answer.ts'
import { satisfiesScopes } from '../oauth/scopes.ts'
import { tokenServices, verifyAccessToken } from '../oauth/tokens.ts'
import type { GatewayCall, GatewayEndpoint, SandboxProduct, SandboxState } from '../state.ts'

export interface GatewayRequest {
  method: string
  product: SandboxProduct
  cloudId: string
  /** Path below `/ex/{product}/{cloudId}`, not decoded, with a leading slash. */
  path: string
  /** The full path, for Spring's 404 body. */
  fullPath: string
  query: URLSearchParams
  body: unknown
  token: string | undefined
  base: string
}

const SCOPE_CHECK_HEADERS = { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' }
const SCOPE_COUNT_LIMIT = 80
const HEADER_TOO_LARGE_PAGE =
  '<!doctype html><html lang="en"><head><title>HTTP Status 400 – Bad Request</title></head>' +
  '<body><h1>HTTP Status 400 – Bad Request</h1><p>Request header is too large</p></body></html>'

/**
 * Handles one call to `/ex/{product}/{cloudId}`. Checks the token, scopes, site, grant and
 * limits in this order, and the route last. A 401 for missing scopes therefore does not show
 * whether the route exists (docs/reference/atlassian.md#6-scopes).
 *
 * @returns the response, and the label under which it is counted
 */
export function handleGatewayRequest(
  state: SandboxState,
  request: GatewayRequest
): { response: SandboxResponse; label: string } {
  const { method, product, path } = request
  const pathMatches = product.endpoints.filter((endpoint) => endpoint.path.test(path))
  const endpoint = pathMatches.find((candidate) => candidate.method === method)
  const label =
    endpoint?.label.replace(' ', ` ${product.gatewayPath}/{cloudId}`) ??
    `${method} ${product.gatewayPath}/{cloudId}/…`
  return { label, response: authorizeRequest(state, request, endpoint, label) }
}

function authorizeRequest(
  state: SandboxState,
  request: GatewayRequest,
  endpoint: GatewayEndpoint | undefined,
  label: string
): SandboxResponse {
  const { product, cloudId } = request
  const session = verifyAccessToken(tokenServices(state), request.token)
  if (session === undefined) return gatewayError(401, 'Unauthorized')
  if (session.scopes.length >= SCOPE_COUNT_LIMIT) {
    return {
      status: 400,
      body: HEADER_TOO_LARGE_PAGE,
      headers: { 'Content-Type': 'text/html;charset=utf-8' }
    }
  }
  const isInScope =
    endpoint === undefined
      ? session.scopes.some((scope) => Object.hasOwn(product.scopes, scope))
      : satisfiesScopes(endpoint.scopes, session.scopes)
  if (!isInScope) {
    return gatewayError(401, 'Unauthorized; scope does not match', SCOPE_CHECK_HEADERS)
  }
  const site = state.sites.find((candidate) => candidate.cloudId === cloudId)
  if (site === undefined) return routeNotFound(request.fullPath, state.now())
  const user = state.users.find(({ accountId }) => accountId === session.accountId)
  if (
    user === undefined ||
    !session.grant.cloudIds.has(cloudId) ||
    !site.products.includes(product.id)
  ) {
    return gatewayError(403, 'The app is not installed on this instance')
  }
  const { headers, refusal } = state.limits.consumeCall({
    clientId: session.clientId,
    cloudId,
    product: product.id,
    endpoint: label
  })
  if (refusal !== undefined) return refusal
  const response = state.access.has(user.accountId, cloudId, product.id)
    ? dispatch(
        endpoint,
        {
          state,
          site,
          user,
          hiddenItems: site.restrictions.forAccount(user.accountId),
          params: [],
          query: request.query,
          body: request.body,
          base: request.base,
          path: request.path
        },
        product
      )
    : product.answerForbidden(request.path)
  state.limits.chargePoints(session.clientId, response.coreObjects ?? 0)
  return {
    ...response,
    headers: { ...headers, ...product.identityHeaders?.(session.accountId), ...response.headers }
  }
}

function dispatch(
  endpoint: GatewayEndpoint | undefined,
  call: GatewayCall,
  product: SandboxProduct
): SandboxResponse {
  const match = endpoint?.path.exec(call.path)
  if (endpoint === undefined || match === undefined || match === null) {
    return product.answerNotFound(call.path)
  }
  return endpoint.handle({ ...call, params: match.slice(1).map(decodePathSegment) })
}

/** An invalid percent-encoding stays as it is, and matches nothing. */
function decodePathSegment(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
