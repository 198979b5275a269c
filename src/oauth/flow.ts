import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, type ErrorCode } from '../errors.ts'
import { isEmail } from '../formats.ts'
import type { Http, Log } from '../http.ts'
import { accountOf, sitesOf } from '../providers/atlassian.ts'
import { providerOf, type ProviderId } from '../providers/index.ts'
import type { Flow } from '../store/flows.ts'
import type { Store } from '../store/index.ts'
import { authorizeUrl, scopesFor, type Client } from './client.ts'
import type { Grants } from './grants.ts'
import { hash, issueSecret, readHint, type Hint } from './state.ts'
import { exchangeCode } from './tokens.ts'

export const FLOW_LIFETIME_MS = 10 * 60 * 1000
/** How often the second hit of a callback looks whether the first one has ended. */
const LOOK_AGAIN_MS = 50

export interface FlowSettings {
  store: Store
  grants: Grants
  http: Http
  now: () => number
  /** Milliseconds that an exchange may take at most, everything included. */
  patienceMs: number
  /** Development also takes a callback whose state the service did not issue (contract.md section 4). */
  acceptForeignState: boolean
  /** The client a flow was started with; undefined once an operator has replaced it. */
  clientOf: (provider: ProviderId, clientId: string) => Client | undefined
}

export interface LoginRequest { client: Client, callerState: string | null, returnUrl: string | null, scope: string | undefined, bindBrowser: boolean, held: readonly string[] }

export interface CallbackRequest {
  /** The product of the callback that was hit; undefined for the one that serves both. */
  provider: ProviderId | undefined
  query: { code?: string | undefined, state?: string | undefined, error?: string | undefined }
  /** The key that this browser was given for the flow, if it brought one. */
  browserKey: (flowName: string, redirectUri: string) => string | undefined
  /** Which client a foreign state is exchanged with. */
  fallback: () => Client | undefined
  log: Log
}

/** How a flow ended, and where its browser goes. */
export interface Ending {
  provider: ProviderId
  redirectUri: string | null
  callerState: string | null
  returnUrl: string | null
  result: { userId: number } | { error: AppError }
}

type Stored = { userId: number } | { code: ErrorCode, detail: string }

/** The login flow, the same for every product (RFC 6749 section 4.1; contract.md section 4). */
export function createFlow (settings: FlowSettings) {
  const { store, now, acceptForeignState } = settings

  /** Starts a login. `browserKey` belongs in a cookie named after `flowName`, where the browser is bound. */
  async function start ({ client, callerState, returnUrl, scope, bindBrowser, held }: LoginRequest) {
    const state = issueSecret()
    const browserKey = bindBrowser ? issueSecret() : null
    await store.flows.start({
      stateHash: hash(state),
      provider: client.provider,
      clientId: client.clientId,
      redirectUri: client.redirectUri,
      callerState,
      returnUrl,
      browserHash: browserKey === null ? null : hash(browserKey),
      expiresAt: new Date(now() + FLOW_LIFETIME_MS)
    })
    return { url: authorizeUrl(client, scopesFor(client.scopes, scope, held), state), flowName: flowName(state), browserKey }
  }

  /** Ends a login: `error` first, then `state`, then `code`. Never throws for what a caller can cause. */
  async function finish (callback: CallbackRequest): Promise<Ending> {
    const { state } = callback.query
    const flow = state === undefined ? undefined : await store.flows.get(hash(state))
    const ending = {
      provider: (flow?.provider ?? callback.provider ?? 'jira') as ProviderId,
      redirectUri: flow?.redirectUri ?? null,
      callerState: flow?.callerState ?? null,
      returnUrl: flow?.returnUrl ?? null
    }
    try {
      if (callback.query.error !== undefined) throw await declined(callback.query.error, flow, callback)
      if (flow === undefined) {
        const client = foreign(callback)
        return { ...ending, callerState: state ?? null, result: { userId: await connect(client, client.redirectUri, state ?? null, callback) } }
      }
      return { ...ending, result: await once(flow, callback) }
    } catch (error) {
      if (error instanceof AppError) return { ...ending, result: { error } }
      throw error
    }
  }

  function foreign ({ query, fallback }: CallbackRequest): Client {
    const client = acceptForeignState ? fallback() : undefined
    if (client !== undefined && query.code !== undefined) return client
    if (query.state === undefined) throw new AppError('missing_state', 'The callback carries no state. Start the login again.')
    if (client !== undefined) throw missingCode()
    throw new AppError('unknown_state', 'The callback carries a state that this service did not issue. Start the login again.')
  }

  /** One exchange for each flow: whoever claims it works, everybody else gets the same outcome. */
  async function once (flow: Flow, callback: CallbackRequest): Promise<{ userId: number } | { error: AppError }> {
    const { code } = callback.query
    const wrong = wrongHands(flow, callback)
    if (wrong !== undefined) throw wrong
    if (code === undefined) throw missingCode()
    if (flow.codeHash === null && flow.expiresAt.getTime() <= now()) throw new AppError('expired_state', 'The login took longer than ten minutes. Start it again.')
    if (!await store.flows.claim(flow.stateHash, hash(code))) return await outcomeOf(flow.stateHash, hash(code))

    const client = settings.clientOf(flow.provider as ProviderId, flow.clientId)
    const outcome: Stored = client === undefined
      ? stored(new AppError('oauth_misconfigured', 'The client id of this service was changed during the login. Start it again.'))
      : await connect(client, flow.redirectUri, flow.callerState, callback).then((userId) => ({ userId }), (error: unknown) => failed(error, callback.log))
    await store.flows.finish(flow.stateHash, JSON.stringify(outcome))
    return restored(outcome)
  }

  /** Waits for the hit that claimed the flow, in this process or another. */
  async function outcomeOf (stateHash: string, codeHash: string): Promise<{ userId: number } | { error: AppError }> {
    const giveUpAt = performance.now() + settings.patienceMs
    while (performance.now() < giveUpAt) {
      const flow = await store.flows.get(stateHash)
      if (flow === undefined || flow.codeHash === null) break
      if (flow.codeHash !== codeHash) throw new AppError('replayed_state', 'This login has been used already, with another code. Start it again.')
      if (flow.outcome !== null) return restored(JSON.parse(flow.outcome) as Stored)
      await sleep(LOOK_AGAIN_MS)
    }
    throw new AppError('callback_unfinished', 'The login was interrupted. Start it again.')
  }

  /** A refusal uses the flow up like a code does, if it comes from where the flow belongs. */
  async function declined (error: string, flow: Flow | undefined, callback: CallbackRequest): Promise<AppError> {
    const refusal = error === 'access_denied'
      ? new AppError('access_denied', 'Consent was not given.')
      : new AppError('oauth_error', 'Atlassian ended the login with an error. Start it again.')
    // A decline reads as a decline even where the session was lost; then it uses nothing up.
    if (flow === undefined || wrongHands(flow, callback) !== undefined) return refusal
    if (await store.flows.claim(flow.stateHash, hash(error))) await store.flows.finish(flow.stateHash, JSON.stringify(stored(refusal)))
    return refusal
  }

  /** Exchanges the code and keeps what it brought. Nothing is stored before Atlassian has said yes. */
  async function connect (client: Client, redirectUri: string, callerState: string | null, { query, log }: CallbackRequest): Promise<number> {
    const hint = readHint(callerState)
    await requireUser(hint)
    const tokens = await exchangeCode(settings.http, client, query.code ?? '', redirectUri, log)
    const access = { http: settings.http, apiUrl: client.apiUrl, log }
    const [accountId, sites] = await Promise.all([
      accountOf(tokens.accessToken, tokens.scopes ?? client.scopes, access),
      sitesOf(providerOf(client.provider), tokens.accessToken, access)
    ])
    const userId = await ownerOf(hint)
    await settings.grants.keep({ client, tokens, accountId, userId, sites })
    log.info({ event: 'oauth_user_token_persisted', user_id: userId, sites: sites.length })
    return userId
  }

  /** A hint names who gets the tokens. One that names nobody must not hand them to somebody else. */
  async function requireUser (hint: Hint): Promise<void> {
    if (hint === undefined) return
    if (hint !== 'unusable' && ('email' in hint ? isEmail(hint.email) : await store.users.get(hint.userId) !== undefined)) return
    throw new AppError('user_not_found', 'The state names a user that does not exist.')
  }

  async function ownerOf (hint: Hint): Promise<number> {
    if (hint !== undefined && hint !== 'unusable') return 'email' in hint ? (await store.users.save(hint.email, null)).user.id : hint.userId
    const first = await store.users.first()
    return first?.id ?? (await store.users.save(`oauth-user-${crypto.randomUUID()}@example.local`, null)).user.id
  }

  return { start, finish }
}

export type Flows = ReturnType<typeof createFlow>

/** The callback has to come for the product, and to the browser, that the flow was started with. */
function wrongHands (flow: Flow, { provider, query: { state = '' }, browserKey }: CallbackRequest): AppError | undefined {
  if (provider !== undefined && provider !== flow.provider) return new AppError('wrong_product', 'The login was started for the other product. Start it again.')
  if (flow.browserHash === null) return undefined
  const key = browserKey(flowName(state), flow.redirectUri)
  if (key !== undefined && hash(key) === flow.browserHash) return undefined
  return new AppError('wrong_browser', 'The login was started in another browser, or under another address of this service. Start it again here.')
}

/** Names the cookie of a flow, so that several tabs can log in at once; says nothing about the state. */
function flowName (state: string): string {
  return hash(`flow ${state}`).slice(0, 12)
}

/** What others see of a failed exchange; the failure itself is logged here, once. */
function failed (error: unknown, log: Log): Stored {
  log.error({ event: 'token_exchange_error', err: error })
  return stored(error instanceof AppError ? error : new AppError('internal_error', 'Internal Server Error'))
}

function missingCode (): AppError {
  return new AppError('missing_code', 'The callback carries no code. Start the login again.')
}

function stored ({ code, message }: AppError): Stored {
  return { code, detail: message }
}

function restored (outcome: Stored): { userId: number } | { error: AppError } {
  return 'userId' in outcome ? outcome : { error: new AppError(outcome.code, outcome.detail) }
}
