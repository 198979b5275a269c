import { gatewayError, routeNotFound } from './answer.ts'
import type { SandboxResponse } from './answer.ts'
import { satisfiesScopes } from '../oauth/scopes.ts'
import { tokenServices, verifyAccessToken } from '../oauth/tokens.ts'
import { deprecationHeaders, failPage } from '../answers/responses.ts'
import type { AnswerRules } from '../answers/rules.ts'
import type { HiddenItems } from '../data/restrictions.ts'
import type { SandboxSite } from '../data/sites.ts'
import { FORMER_USER } from '../oauth/users.ts'
import type { SandboxUser } from '../oauth/users.ts'
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
  /** The media type of the body, without parameters. */
  contentType: string
  body: unknown
  token: string | undefined
  base: string
}

const SCOPE_CHECK_HEADERS = { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' }
const FAILED_LOGIN_HEADERS = { 'x-seraph-loginreason': 'AUTHENTICATED_FAILED' }
const HIDE_EVERYTHING: HiddenItems = { has: () => true, hasAny: () => true }
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
  const site = state.sites.find((candidate) => candidate.cloudId === cloudId)
  const session = verifyAccessToken(tokenServices(state), request.token)
  if (session === undefined) {
    return answerAnonymously(state, request, site, endpoint) ?? gatewayError(401, 'Unauthorized')
  }
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
  if (site === undefined) return routeNotFound(request.fullPath, state.now())
  const user = state.users.find(({ accountId }) => accountId === session.accountId)
  if (
    user === undefined ||
    !session.grant.cloudIds.has(cloudId) ||
    !site.products.includes(product.id)
  ) {
    return gatewayError(403, 'The app is not installed on this instance')
  }
  const rules = site.answers.rules()
  const { headers, refusal } = state.limits.consumeCall({
    clientId: session.clientId,
    cloudId,
    product: product.id,
    endpoint: label,
    rateHeaders: rules.rateHeaders,
    rateVariant: rules.rateVariant
  })
  if (refusal !== undefined) return refusal
  const hiddenItems = site.restrictions.forAccount(user.accountId)
  const response = state.access.has(user.accountId, cloudId, product.id)
    ? dispatch(endpoint, createCall(state, request, site, user, hiddenItems), request)
    : product.answerForbidden(request.path)
  state.limits.chargePoints(session.clientId, cloudId, response.coreObjects ?? 0)
  return {
    ...response,
    headers: {
      ...headers,
      ...identityHeaders(state, product, rules.accountHeader, user),
      ...response.headers,
      ...deprecationHeaders(rules, request.path, response.headers)
    }
  }
}

/**
 * 200 and nothing, for sites that treat a rejected token as none
 * (docs/reference/atlassian.md#86-anonymous-answers).
 */
function answerAnonymously(
  state: SandboxState,
  request: GatewayRequest,
  site: SandboxSite | undefined,
  endpoint: GatewayEndpoint | undefined
): SandboxResponse | undefined {
  const deadToken = site?.answers.rules().deadToken
  const [user] = state.users
  if (deadToken === undefined || endpoint?.allowsAnonymous !== true || user === undefined) {
    return undefined
  }
  const call = createCall(state, request, site as SandboxSite, user, HIDE_EVERYTHING)
  const response = dispatch(endpoint, { ...call, isAnonymous: true }, request)
  const headers = deadToken === 'seraph' ? FAILED_LOGIN_HEADERS : {}
  return { ...response, headers: { ...response.headers, ...headers } }
}

function createCall(
  state: SandboxState,
  { query, body, base, path }: GatewayRequest,
  site: SandboxSite,
  user: SandboxUser,
  hiddenItems: HiddenItems | undefined
): GatewayCall {
  return { state, site, user, hiddenItems, params: [], query, isAnonymous: false, body, base, path }
}

function identityHeaders(
  { users }: SandboxState,
  product: SandboxProduct,
  rule: AnswerRules['accountHeader'],
  { accountId }: SandboxUser
): Record<string, string> {
  if (rule === 'absent') return {}
  const other = users.find((candidate) => candidate.accountId !== accountId) ?? FORMER_USER
  return product.identityHeaders?.(rule === 'other' ? other.accountId : accountId) ?? {}
}

function dispatch(
  endpoint: GatewayEndpoint | undefined,
  call: GatewayCall,
  { product, ...request }: GatewayRequest
): SandboxResponse {
  const match = endpoint?.path.exec(call.path)
  if (endpoint === undefined || match === undefined || match === null) {
    return product.answerNotFound(call.path)
  }
  const refusal = product.checkBody?.(request)
  if (refusal !== undefined) return refusal
  const response = endpoint.handle({ ...call, params: match.slice(1).map(decodePathSegment) })
  return failPage(call.site.answers.rules(), response)
}

/** An invalid percent-encoding stays as it is, and matches nothing. */
function decodePathSegment(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
