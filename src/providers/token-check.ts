import { isRecord } from '../lib/json.ts'
import type { HttpResponse, Logger } from '../lib/http-client.ts'
import type { ResponseCheck } from './atlassian.ts'
import { isScopeMismatch, type Provider } from './provider.ts'

/** One proof decides for answers of the same token that arrive this much later. */
const PROOF_TTL_MS = 30_000

/** The body of a response that stands for a rejected token, whatever Atlassian answered. */
const REJECTED_TOKEN_BODY = { code: 401, message: 'Unauthorized' }

export interface TokenCheckSettings {
  provider: Provider
  /** The account that gave the consent. */
  accountId: string
  cloudId: string
  apiUrl: string
  /** The URL of the site at the gateway. */
  siteUrl: string
  now: () => number
  log: Logger
}

/** What a second call says about a token; a response if it could not be made. */
type Proof = 'accepted' | 'rejected' | HttpResponse

/**
 * Creates a check for answers in which Atlassian does not say that it rejects the token: Jira
 * treats the caller as anonymous and returns 200 with nothing, Confluence returns a bare 404
 * (docs/reference/atlassian.md#86-anonymous-answers and #11-errors). Such an answer becomes a
 * 401. If an answer of nothing does not name the account, a second call decides.
 */
export function createTokenCheck(settings: TokenCheckSettings): ResponseCheck {
  const { provider, accountId, cloudId, apiUrl, siteUrl, now, log } = settings
  const { identityEndpoint } = provider
  let latest: { token: string; at: number; proof: Promise<Proof> } | undefined

  function reject(response: HttpResponse, reason: string): HttpResponse {
    log.warn(
      {
        event: 'token_rejected',
        reason,
        status_code: response.status,
        trace_id: response.headers['atl-traceid']
      },
      `${provider.title} answered as if to another caller.`
    )
    return { ...response, status: 401, body: REJECTED_TOKEN_BODY }
  }

  async function proveByIdentity(
    { path }: { path: string },
    send: (url: string) => Promise<HttpResponse>
  ): Promise<Proof> {
    const response = await send(siteUrl + path)
    // A token without this scope is known to the gateway all the same.
    if (isScopeMismatch(response)) return await proveBySites(send)
    if (response.status === 401) return 'rejected'
    if (response.status !== 200 || !isRecord(response.body)) return response
    return findRejection(response, accountId) === undefined && response.body.accountId === accountId
      ? 'accepted'
      : 'rejected'
  }

  async function proveBySites(send: (url: string) => Promise<HttpResponse>): Promise<Proof> {
    const response = await send(`${apiUrl}/oauth/token/accessible-resources`)
    if (response.status === 401) return 'rejected'
    if (response.status !== 200 || !Array.isArray(response.body)) return response
    return response.body.some((site) => isRecord(site) && site.id === cloudId)
      ? 'accepted'
      : 'rejected'
  }

  return async (response, token, send) => {
    if (identityEndpoint !== undefined) {
      const reason = findRejection(response, accountId)
      if (reason !== undefined) return reject(response, reason)
      if (response.headers['x-aaccountid'] !== undefined) return response
    }
    if (!isEmptyAnswer(response, identityEndpoint !== undefined)) return response
    if (latest?.token !== token || now() - latest.at > PROOF_TTL_MS) {
      const proof =
        identityEndpoint === undefined
          ? proveBySites(send)
          : proveByIdentity(identityEndpoint, send)
      latest = { token, at: now(), proof }
    }
    const proof = await latest.proof.catch((error: unknown) => {
      latest = undefined
      throw error
    })
    if (proof === 'accepted') return response
    if (proof === 'rejected') return reject(response, 'second_call')
    latest = undefined
    return proof
  }
}

/** Whether a response stands for a token that was rejected although Atlassian did not say so. */
export function isRejectedToken({ body }: HttpResponse): boolean {
  return body === REJECTED_TOKEN_BODY
}

/** Why Jira's headers say that it did not answer this account; undefined if they do not. */
function findRejection({ headers }: HttpResponse, accountId: string): string | undefined {
  const loginReasons = toList(headers['x-seraph-loginreason'])
  if (loginReasons.some((reason) => reason.toUpperCase() !== 'OK')) return 'login_reason'
  const accounts = toList(headers['x-aaccountid']).map(decode)
  return accounts.some((account) => account !== accountId) ? 'other_account' : undefined
}

function toList(header: string | string[] | undefined): string[] {
  return [header ?? []].flat().flatMap((value) => value.split(',').map((each) => each.trim()))
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** An answer of nothing: a list without rows, a count of 0, or a 404 that an anonymous caller gets too. */
function isEmptyAnswer({ status, body }: HttpResponse, isAnonymousAllowed: boolean): boolean {
  const record = isRecord(body) ? body : {}
  if (!isAnonymousAllowed) {
    return (
      status === 404 &&
      Array.isArray(record.errors) &&
      record.errors.some((error) => isRecord(error) && error.title === 'Not Found')
    )
  }
  // Without `path`, which only the gateway's own 404 has.
  if (status === 404) return record.path === undefined
  const lists = [record.values, record.issues, record.issueErrors].filter(Array.isArray)
  return (
    status === 200 &&
    (record.count === 0 || (lists.length > 0 && lists.every((list) => list.length === 0)))
  )
}
