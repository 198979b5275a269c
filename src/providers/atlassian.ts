import { AppError } from '../lib/errors.ts'
import { assertOk, type HttpResponse, type HttpClient, type Logger } from '../lib/http-client.ts'
import type { Site } from '../model/site.ts'
import { isRecord, toStorableText } from '../lib/json.ts'
import { isScopeMismatch, type Provider } from './provider.ts'

/** Anything else could walk up the path of the gateway's address. */
export const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Where a person takes an app's access away: Atlassian has no address for programs to do so
 * (docs/reference/atlassian.md#4-revocation).
 */
export const MANAGE_APPS_URL = 'https://id.atlassian.com/manage-profile/apps'

/** What the app itself needs to tell which accounts it keeps; it is no feature of a connection. */
export const REPORT_SCOPE = 'report:personal-data'

/** Sends one authorised GET, or a POST where there is something to send. */
export type AuthorizedRequest = (url: string, json?: object) => Promise<HttpResponse>

/** Calls that need no site: who is this, and which sites does the grant reach? */
export interface AtlassianClient {
  sendAuthorized: AuthorizedRequest
  apiUrl: string
  log: Logger
}

/** Asks with a token that was just issued. */
export function createTokenRequest(
  accessToken: string,
  http: HttpClient,
  log: Logger
): AuthorizedRequest {
  return async (url) => await http({ url, headers: bearerHeaders(accessToken), log })
}

/** The tokens of one grant, for calls that may find one of them turned down. */
interface GrantTokens {
  /** A token that is valid now; `refused` is one that Atlassian has just turned down. */
  get: (rejectedToken?: string) => Promise<string>
  /** The stored token, read anew: a consent given elsewhere may have brought another one. */
  getLatest: () => Promise<string>
  /** Whether the stored token's time is over. */
  isExpired: () => Promise<boolean>
}

/** Lets a call through when its turn has come. */
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
 * Asks with the grant's token, and once more where it was turned down and another one helps: after
 * a plain 401 with a fresh one; after a 401 that says a scope is missing only with one that is
 * stored by now, because refreshing cannot help; after 403 and 404, which some endpoints say
 * instead, only if the token's time is over (docs/reference/atlassian.md#32-refresh-handling and
 * #11-errors).
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
  return async (url, json) => {
    const token = await tokens.get()
    const response = await send(url, token, json)
    const retryToken = await tokenForRetry(response, token)
    return retryToken === token ? response : await send(url, retryToken, json)
  }
}

/**
 * The sites of a grant that hold this product: accessible-resources repeats a site once per
 * product, in no order, so entries are merged by id and judged by their united scopes
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
      'Atlassian listed sites in a form this service does not know.'
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

/** The stable id of the account behind a token: from `/me` where that was consented to, else the token's own subject. */
export async function fetchAccountId(
  accessToken: string,
  scopes: readonly string[],
  { sendAuthorized, apiUrl, log }: AtlassianClient
): Promise<string> {
  if (scopes.includes('read:me')) {
    const url = `${apiUrl}/me`
    const me = assertOk(await sendAuthorized(url), url, log)
    const accountId = isRecord(me) ? toStorableText(me.account_id) : null
    if (accountId !== null) return accountId
  }
  const subject = decodeSubject(accessToken)
  if (subject === null) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian did not say whose account this is. Add the scope read:me to the app.'
    )
  }
  return subject
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

/** The claim is not documented, hence second choice (docs/reference/atlassian.md#22-response). */
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
