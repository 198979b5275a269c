import { AppError } from '../lib/errors.ts'
import { assertOk, type HttpResponse, type HttpClient, type Logger } from '../lib/http-client.ts'
import type { Site } from '../model/site.ts'
import { isRecord, toStorableText } from '../lib/json.ts'
import { isScopeMismatch, type Provider } from './provider.ts'

/** Any other value could leave the gateway's path. */
export const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Where a person revokes an app's access. Atlassian has no revocation endpoint for 3LO
 * (docs/reference/atlassian.md#4-revocation).
 */
export const MANAGE_APPS_URL = 'https://id.atlassian.com/manage-profile/apps'

/** The service needs it to report the accounts it stores; no feature of a connection uses it. */
export const REPORT_SCOPE = 'report:personal-data'

/**
 * Returns what a response means for its token: the response itself, or a 401 if it shows that the
 * token was rejected.
 *
 * @param send makes another call with the same token
 */
export type ResponseCheck = (
  response: HttpResponse,
  token: string,
  send: (url: string) => Promise<HttpResponse>
) => Promise<HttpResponse>

/** Sends one authorized request: POST if `json` is given, otherwise GET. */
export type AuthorizedRequest = (
  url: string,
  json?: object,
  check?: ResponseCheck
) => Promise<HttpResponse>

/** Calls outside a site: the account, and the sites that the grant covers. */
export interface AtlassianClient {
  sendAuthorized: AuthorizedRequest
  apiUrl: string
  log: Logger
}

/** Sends requests with a token that was just issued. */
export function createTokenRequest(
  accessToken: string,
  http: HttpClient,
  log: Logger
): AuthorizedRequest {
  return async (url) => await http({ url, headers: bearerHeaders(accessToken), log })
}

/** The tokens of one grant, for calls that Atlassian may reject with 401. */
interface GrantTokens {
  /** Returns a valid token. `rejectedToken` is a token that Atlassian has just rejected. */
  get: (rejectedToken?: string) => Promise<string>
  /** Reads the token from the store again: a new consent may have replaced it. */
  getLatest: () => Promise<string>
  /** Whether the stored access token has expired. */
  isExpired: () => Promise<boolean>
}

/** Resolves when the rate budget allows the call. */
export type Throttle = (
  method: 'GET' | 'POST',
  url: string,
  send: () => Promise<HttpResponse>
) => Promise<HttpResponse>

export interface AuthorizedRequestOptions {
  http: HttpClient
  tokens: GrantTokens
  log: Logger
  throttle: Throttle
  signal?: AbortSignal
}

/**
 * Sends a request with the grant's token, and retries once with another token where that can
 * help. After a plain 401: with a refreshed token. After a 401 for a missing scope: only with a
 * newer stored token, because a refresh does not add scopes. After a 403 or 404, which some
 * endpoints return instead of 401: only if the token has expired
 * (docs/reference/atlassian.md#32-refresh-handling and #11-errors).
 */
export function createAuthorizedRequest({
  http,
  tokens,
  log,
  throttle,
  signal
}: AuthorizedRequestOptions): AuthorizedRequest {
  const send = async (url: string, token: string, json?: object): Promise<HttpResponse> => {
    const method = json === undefined ? 'GET' : 'POST'
    return await throttle(
      method,
      url,
      async () =>
        await http({
          method,
          url,
          headers: bearerHeaders(token),
          log,
          ...(json === undefined ? {} : { json }),
          ...(signal === undefined ? {} : { signal })
        })
    )
  }
  const tokenForRetry = async (response: HttpResponse, token: string): Promise<string> => {
    if (isScopeMismatch(response)) return await tokens.getLatest()
    if (response.status === 401) return await tokens.get(token)
    return (response.status === 403 || response.status === 404) && (await tokens.isExpired())
      ? await tokens.get(token)
      : token
  }
  return async (url, json, check = async (response) => response) => {
    const attempt = async (token: string) =>
      await check(
        await send(url, token, json),
        token,
        async (otherUrl) => await send(otherUrl, token)
      )
    const token = await tokens.get()
    const response = await attempt(token)
    const retryToken = await tokenForRetry(response, token)
    return retryToken === token ? response : await attempt(retryToken)
  }
}

/**
 * The sites of a grant that have this product. accessible-resources repeats a site once per
 * product, in no defined order; entries with the same id are merged and their scopes combined
 * (docs/reference/atlassian.md#51-accessible-resources).
 */
export async function fetchProductSites(
  provider: Provider,
  { sendAuthorized, apiUrl, log }: AtlassianClient
): Promise<Site[]> {
  const url = `${apiUrl}/oauth/token/accessible-resources`
  const response = assertOk(await sendAuthorized(url), url, log)
  if (!Array.isArray(response)) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian returned the sites in an unknown format.'
    )
  }
  const sites = new Map<string, Site & { isProductSite: boolean }>()
  for (const entry of response.filter(isRecord)) {
    const [cloudId, name, address] = [
      toStorableText(entry.id),
      toStorableText(entry.name),
      parseSiteUrl(entry.url)
    ]
    if (cloudId === null || !UUID_PATTERN.test(cloudId) || address === null) continue
    const scopes = Array.isArray(entry.scopes)
      ? entry.scopes.filter((scope) => typeof scope === 'string')
      : []
    const isProductSite =
      scopes.some(provider.isProductScope) || sites.get(cloudId)?.isProductSite === true
    sites.set(cloudId, { cloudId, name: name ?? address, url: address, isProductSite })
  }
  return [...sites.values()]
    .filter(({ isProductSite }) => isProductSite)
    .map(({ cloudId, name, url }) => ({ cloudId, name, url }))
    .sort((a, b) => (a.url < b.url ? -1 : 1))
}

/** An Atlassian account, as far as a consent shows it. */
export interface Account {
  /** The stable id. */
  id: string
  /** null if the account or the consent does not show it. */
  email: string | null
}

/**
 * The token's account: from `/me` if the consent covers it, otherwise from the token's `sub` claim.
 */
export async function fetchAccount(
  accessToken: string,
  scopes: readonly string[],
  { sendAuthorized, apiUrl, log }: AtlassianClient
): Promise<Account> {
  if (scopes.includes('read:me')) {
    const url = `${apiUrl}/me`
    const me = assertOk(await sendAuthorized(url), url, log)
    const id = isRecord(me) ? toStorableText(me.account_id) : null
    if (id !== null) return { id, email: isRecord(me) ? toStorableText(me.email) : null }
  }
  const subject = decodeSubject(accessToken)
  if (subject === null) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian did not say whose account this is. Add the scope read:me to the app.'
    )
  }
  return { id: subject, email: null }
}

function bearerHeaders(accessToken: string): Record<string, string> {
  return { authorization: `Bearer ${accessToken}` }
}

function parseSiteUrl(value: unknown): string | null {
  const url = typeof value === 'string' ? URL.parse(value) : null
  return url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.username === '' &&
    url.password === ''
    ? url.href.replace(/(?<!\/)\/+$/, '')
    : null
}

/**
 * The claim is undocumented, so `/me` takes precedence
 * (docs/reference/atlassian.md#22-response).
 */
function decodeSubject(accessToken: string): string | null {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString('utf8')
    )
    return isRecord(claims) ? toStorableText(claims.sub) : null
  } catch {
    return null
  }
}
