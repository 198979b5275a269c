import { AppError } from '../lib/errors.ts'
import { requireSuccess, type Answer, type Http, type Log } from '../lib/http-client.ts'
import type { Site } from '../model/site.ts'
import { isRecord, text } from '../lib/json.ts'
import { isScopeMismatch, type Provider } from './provider.ts'

/** Anything else could walk up the path of the gateway's address. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Where a person takes an app's access away: Atlassian has no address for programs to do so (atlassian.md section 4). */
export const MANAGE_APPS_URL = 'https://id.atlassian.com/manage-profile/apps'

/** What the app itself needs to tell which accounts it keeps; it is no feature of a connection. */
export const REPORT_SCOPE = 'report:personal-data'

/** Sends one authorised GET, or a POST where there is something to send. */
export type Ask = (url: string, json?: object) => Promise<Answer>

/** Calls that need no site: who is this, and which sites does the grant reach? */
export interface Access {
  ask: Ask
  apiUrl: string
  log: Log
}

/** Asks with a token that was just issued. */
export function askWith(accessToken: string, http: Http, log: Log): Ask {
  return async (url) => await http({ url, headers: bearer(accessToken), log })
}

/** The tokens of one grant, for calls that may find one of them turned down. */
export interface Tokens {
  /** A token that is valid now; `refused` is one that Atlassian has just turned down. */
  get: (refused?: string) => Promise<string>
  /** The stored token, read anew: a consent given elsewhere may have brought another one. */
  latest: () => Promise<string>
  /** Whether the stored token's time is over. */
  expired: () => Promise<boolean>
}

/** Lets a call through when its turn has come. */
export type Turn = (
  method: 'GET' | 'POST',
  url: string,
  send: () => Promise<Answer>
) => Promise<Answer>

export interface AskSettings {
  http: Http
  tokens: Tokens
  log: Log
  turn: Turn
  signal?: AbortSignal
}

/**
 * Asks with the grant's token, and once more where it was turned down and another one helps: after a plain 401 with a fresh
 * one; after a 401 that says a scope is missing only with one that is stored by now, because refreshing cannot help; after 403
 * and 404, which some endpoints say instead, only if the token's time is over (atlassian.md sections 3.3, 11 and 14).
 */
export function createAsk({ http, tokens, log, turn, signal }: AskSettings): Ask {
  const send = async (url: string, token: string, json?: object): Promise<Answer> => {
    const method = json === undefined ? 'GET' : 'POST'
    return await turn(
      method,
      url,
      async () =>
        await http({
          method,
          url,
          headers: bearer(token),
          log,
          ...(json === undefined ? {} : { json }),
          ...(signal === undefined ? {} : { signal })
        })
    )
  }
  const another = async (answer: Answer, token: string): Promise<string> => {
    if (isScopeMismatch(answer)) return await tokens.latest()
    if (answer.status === 401) return await tokens.get(token)
    return (answer.status === 403 || answer.status === 404) && (await tokens.expired())
      ? await tokens.get(token)
      : token
  }
  return async (url, json) => {
    const token = await tokens.get()
    const answer = await send(url, token, json)
    const other = await another(answer, token)
    return other === token ? answer : await send(url, other, json)
  }
}

/**
 * The sites of a grant that hold this product: accessible-resources repeats a site once per product, in no order, so
 * entries are merged by id and judged by their united scopes (atlassian.md section 5.1).
 */
export async function sitesOf(provider: Provider, { ask, apiUrl, log }: Access): Promise<Site[]> {
  const url = `${apiUrl}/oauth/token/accessible-resources`
  const answer = requireSuccess(await ask(url), url, log)
  if (!Array.isArray(answer)) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian listed sites in a form this service does not know.'
    )
  }
  const sites = new Map<string, Site & { mine: boolean }>()
  for (const entry of answer.filter(isRecord)) {
    const [cloudId, name, address] = [text(entry.id), text(entry.name), siteUrl(entry.url)]
    if (cloudId === null || !UUID.test(cloudId) || address === null) continue
    const scopes = Array.isArray(entry.scopes)
      ? entry.scopes.filter((scope) => typeof scope === 'string')
      : []
    const mine = scopes.some(provider.ownsScope) || sites.get(cloudId)?.mine === true
    sites.set(cloudId, { cloudId, name: name ?? address, url: address, mine })
  }
  return [...sites.values()]
    .filter(({ mine }) => mine)
    .map(({ cloudId, name, url }) => ({ cloudId, name, url }))
    .sort((a, b) => (a.url < b.url ? -1 : 1))
}

/** The stable id of the account behind a token: from `/me` where that was consented to, else the token's own subject. */
export async function accountOf(
  accessToken: string,
  scopes: readonly string[],
  { ask, apiUrl, log }: Access
): Promise<string> {
  if (scopes.includes('read:me')) {
    const url = `${apiUrl}/me`
    const me = requireSuccess(await ask(url), url, log)
    const accountId = isRecord(me) ? text(me.account_id) : null
    if (accountId !== null) return accountId
  }
  const subject = subjectOf(accessToken)
  if (subject === null) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian did not say whose account this is. Add the scope read:me to the app.'
    )
  }
  return subject
}

function bearer(accessToken: string): Record<string, string> {
  return { authorization: `Bearer ${accessToken}` }
}

function siteUrl(value: unknown): string | null {
  const url = typeof value === 'string' ? URL.parse(value) : null
  return url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.username === '' &&
    url.password === ''
    ? url.href.replace(/(?<!\/)\/+$/, '')
    : null
}

/** The claim is not documented, hence second choice (atlassian.md section 2.2). */
function subjectOf(accessToken: string): string | null {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString('utf8')
    )
    return isRecord(claims) ? text(claims.sub) : null
  } catch {
    return null
  }
}
