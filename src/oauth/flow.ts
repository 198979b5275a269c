import { setTimeout as sleep } from 'node:timers/promises'
import { actingFor } from '../lib/actor.ts'
import { AppError, type ErrorCode } from '../lib/errors.ts'
import { isText } from '../lib/formats.ts'
import type { Http, Log } from '../lib/http-client.ts'
import { accountOf, askWith, sitesOf } from '../providers/atlassian.ts'
import { providerOf, type ProviderId } from '../providers/index.ts'
import type { Site } from '../model/site.ts'
import type { Flow } from '../store/repositories/login-flows.ts'
import type { WithStatement } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import { authorizeUrl, scopesFor, type Client } from './authorize-url.ts'
import { ownerOf, requireUser } from './resolve-user.ts'
import { hash, isSameHash, issueSecret, readHint } from './state.ts'
import { exchangeCode, type TokenSet } from './tokens.ts'

export const FLOW_LIFETIME_MS = 10 * 60 * 1000
/** Whoever brings states that somebody else has made counts as one. */
const FOREIGN = 'foreign'
/** How often the second hit of a callback looks whether the first one has ended. */
const LOOK_AGAIN_MS = 50

export interface FlowSettings {
  store: Store
  http: Http
  now: () => number
  /** Milliseconds that an exchange may take at most, everything included. */
  patienceMs: number
  /** Logins that are kept of one caller. */
  openLogins: number
  /** Development also takes a callback whose state the service did not issue (contract.md section 4). */
  acceptForeignState: boolean
  /** The client a flow was started with; undefined once an operator has replaced it. */
  clientOf: (provider: ProviderId, clientId: string) => Client | undefined
  /** Throws where what a login brings could not be kept: then no code is exchanged. */
  requireKeeping: () => void
  /** Keeps what a login brought, together with `also`. */
  keep: (consent: Consent, log: Log, also: WithStatement[]) => Promise<void>
}

/** What a login brought, ready to be kept. */
export interface Consent {
  client: Client
  tokens: TokenSet
  accountId: string
  userId: number
  /** The sites of the grant that hold the product. */
  sites: Site[]
  /** The scopes that were asked for: what was granted, where the answer does not say. */
  asked: readonly string[]
  /** The person has said that another account may take the place of the connected one. */
  changeAccount: boolean
}

export interface LoginRequest {
  client: Client
  callerState: string | null
  returnUrl: string | null
  scope: string | undefined
  bindBrowser: boolean
  userId: number | null
  opener: string
  startedBy: string
  held: readonly string[]
  changeAccount: boolean
}

export interface CallbackRequest {
  /** The product of the callback that was hit; undefined for the one that serves both. */
  provider: ProviderId | undefined
  query: { code?: string | undefined; state?: string | undefined; error?: string | undefined }
  /** The key that this browser was given for the flow, if it brought one. */
  browserKey: (flowName: string, redirectUri: string) => string | undefined
  /** Which client a foreign state is exchanged with. */
  fallback: () => Client | undefined
  /** The request's log, once it is known which product it is about. */
  logFor: (provider: ProviderId) => Log
}

/** How a flow ended, and where its browser goes. */
export interface Ending {
  provider: ProviderId
  redirectUri: string | null
  callerState: string | null
  returnUrl: string | null
  result: Result
}

/** `first` is true for the one hit that did the work. */
type Result = { userId: number; first: boolean } | { error: AppError }
type Stored = { userId: number } | { code: ErrorCode; detail: string }

/** The login flow, the same for every product (RFC 6749 section 4.1; contract.md section 4). */
export function createFlow(settings: FlowSettings) {
  const { store, now, acceptForeignState } = settings

  /** Starts a login. `browserKey` belongs in a cookie named after `flowName`, where the browser is bound. */
  async function start({
    client,
    callerState,
    returnUrl,
    scope,
    bindBrowser,
    userId,
    opener,
    startedBy,
    held,
    changeAccount
  }: LoginRequest) {
    const state = issueSecret()
    const browserKey = bindBrowser ? issueSecret() : null
    const scopes = scopesFor(client.scopes, scope, held)
    await store.flows.start(
      {
        stateHash: hash(state),
        provider: client.provider,
        clientId: client.clientId,
        redirectUri: client.redirectUri,
        callerState,
        returnUrl,
        scopes: scopes.join(' '),
        changeAccount: Number(changeAccount),
        browserHash: browserKey === null ? null : hash(browserKey),
        userId,
        opener,
        startedBy,
        expiresAt: new Date(now() + FLOW_LIFETIME_MS)
      },
      settings.openLogins
    )
    return { url: authorizeUrl(client, scopes, state), flowName: flowName(state), browserKey }
  }

  /** Ends a login: `error` first, then `state`, then `code`. Never throws for what a caller can cause. */
  async function finish(callback: CallbackRequest): Promise<Ending> {
    const { state, error } = callback.query
    let flow: Flow | undefined
    const ending = (result: Result): Ending => ({
      provider: (flow?.provider ?? callback.provider ?? 'jira') as ProviderId,
      redirectUri: flow?.redirectUri ?? null,
      callerState: flow?.callerState ?? null,
      returnUrl: flow?.returnUrl ?? null,
      result
    })
    try {
      flow = state === undefined ? undefined : await store.flows.get(hash(state))
      if (error !== undefined) throw await declined(error, flow, callback)
      flow ??= await foreign(callback)
      if (flow === undefined) {
        throw stateless({ query: callback.query, acceptable: acceptForeignState })
      }
      return ending(await once(flow, callback))
    } catch (failure) {
      if (failure instanceof AppError) return ending({ error: failure })
      throw failure
    }
  }

  /** A flow for a callback whose state somebody else made: found again by state and code together, so it too happens once. */
  async function foreign({
    query: { code, state },
    fallback
  }: CallbackRequest): Promise<Flow | undefined> {
    const client =
      acceptForeignState && code !== undefined && isText(state ?? '') ? fallback() : undefined
    if (client === undefined) return undefined
    const stateHash = hash(JSON.stringify(['foreign', client.provider, state ?? null, code]))
    await store.flows.start(
      {
        stateHash,
        provider: client.provider,
        clientId: client.clientId,
        redirectUri: client.redirectUri,
        callerState: state ?? null,
        returnUrl: null,
        scopes: client.scopes.join(' '),
        changeAccount: 0,
        browserHash: null,
        userId: null,
        opener: FOREIGN,
        startedBy: '',
        expiresAt: new Date(now() + FLOW_LIFETIME_MS)
      },
      settings.openLogins
    )
    return await store.flows.get(stateHash)
  }

  /** One exchange for each flow: whoever claims it works, everybody else gets the same outcome. */
  async function once(flow: Flow, callback: CallbackRequest): Promise<Result> {
    const { code } = callback.query
    const wrong = wrongHands(flow, callback)
    if (wrong !== undefined) throw wrong
    if (code === undefined) throw missingCode()
    if (flow.codeHash === null && flow.expiresAt.getTime() <= now()) {
      throw new AppError('expired_state', 'The login took longer than ten minutes. Start it again.')
    }
    if (!(await store.flows.claim(flow.stateHash, hash(code)))) {
      return await outcomeOf(flow.stateHash, hash(code))
    }

    const result = await actingFor(
      flow.startedBy,
      async () => await connect(flow, code, callback)
    ).then((userId) => ({ userId, first: true }), failed)
    if ('error' in result) {
      await store.flows.finish(flow.stateHash, JSON.stringify(stored(result.error)))
    }
    return result
  }

  /** Waits for the hit that claimed the flow, in this process or another. */
  async function outcomeOf(stateHash: string, codeHash: string): Promise<Result> {
    while (true) {
      const flow = await store.flows.get(stateHash)
      if (flow === undefined || flow.codeHash === null) break
      if (!isSameHash(flow.codeHash, codeHash)) {
        throw new AppError(
          'replayed_state',
          'This login has been used already, with another code. Start it again.'
        )
      }
      if (flow.outcome !== null) return restored(JSON.parse(flow.outcome) as Stored)
      // Whoever claimed it that long ago is not working on it any more.
      if (now() - (flow.claimedAt?.getTime() ?? 0) > settings.patienceMs) break
      await sleep(LOOK_AGAIN_MS)
    }
    throw new AppError('callback_interrupted', 'The login was interrupted. Start it again.')
  }

  /** A refusal uses the flow up like a code does, if it comes from where the flow belongs. */
  async function declined(
    error: string,
    flow: Flow | undefined,
    callback: CallbackRequest
  ): Promise<AppError> {
    const refusal =
      error === 'access_denied'
        ? new AppError('access_denied', 'Consent was not given.')
        : new AppError('oauth_error', 'Atlassian ended the login with an error. Start it again.')
    // A decline reads as a decline even where the session was lost; then it uses nothing up.
    if (flow === undefined || wrongHands(flow, callback) !== undefined) return refusal
    if (await store.flows.claim(flow.stateHash, hash(error))) {
      await store.flows.finish(flow.stateHash, JSON.stringify(stored(refusal)))
    }
    return refusal
  }

  /** Exchanges the code and keeps what it brought. Nothing is stored before Atlassian has said yes. */
  async function connect(
    {
      stateHash,
      provider,
      clientId,
      redirectUri,
      callerState,
      scopes,
      changeAccount,
      userId: known
    }: Flow,
    code: string,
    { logFor }: CallbackRequest
  ): Promise<number> {
    const log = logFor(provider as ProviderId)
    const client = settings.clientOf(provider as ProviderId, clientId)
    if (client === undefined) {
      throw new AppError(
        'oauth_misconfigured',
        'The client id of this service was changed during the login. Start it again.'
      )
    }
    const hint = known === null ? readHint(callerState) : { userId: known }
    await requireUser(store, hint)
    settings.requireKeeping()
    const tokens = await exchangeCode(settings.http, client, code, redirectUri, log)
    const access = {
      ask: askWith(tokens.accessToken, settings.http, log),
      apiUrl: client.apiUrl,
      log
    }
    const [accountId, sites] = await Promise.all([
      accountOf(tokens.accessToken, tokens.scopes ?? scopes.split(' '), access),
      sitesOf(providerOf(client.provider), access)
    ])
    const userId = await ownerOf(store, hint)
    // The outcome is written with the tokens: nobody can be connected and told otherwise.
    await settings.keep(
      {
        client,
        tokens,
        accountId,
        userId,
        sites,
        asked: scopes.split(' ').filter(Boolean),
        changeAccount: changeAccount === 1
      },
      log,
      [store.flows.finishing(stateHash, JSON.stringify({ userId } satisfies Stored))]
    )
    log.info({ event: 'oauth_user_token_persisted', user_id: userId, sites: sites.length })
    return userId
  }

  return { start, finish }
}

export type Flows = ReturnType<typeof createFlow>

/** The callback has to come for the product, and to the browser, that the flow was started with. */
function wrongHands(
  flow: Flow,
  { provider, query: { state = '' }, browserKey }: CallbackRequest
): AppError | undefined {
  if (provider !== undefined && provider !== flow.provider) {
    return new AppError(
      'wrong_product',
      'The login was started for the other product. Start it again.'
    )
  }
  if (flow.browserHash === null) return undefined
  const key = browserKey(flowName(state), flow.redirectUri)
  if (key !== undefined && isSameHash(hash(key), flow.browserHash)) return undefined
  return new AppError(
    'wrong_browser',
    'The login was started in another browser, or under another address of this service. Start it again here.'
  )
}

/** Names the cookie of a flow, so that several tabs can log in at once; says nothing about the state. */
function flowName(state: string): string {
  return hash(`flow ${state}`).slice(0, 12)
}

function failed(error: unknown): { error: AppError } {
  return {
    error:
      error instanceof AppError
        ? error
        : new AppError('internal_error', 'Internal Server Error', { cause: error })
  }
}

function missingCode(): AppError {
  return new AppError('missing_code', 'The callback carries no code. Start the login again.')
}

function stateless({
  query: { state, code },
  acceptable
}: {
  query: CallbackRequest['query']
  acceptable: boolean
}): AppError {
  if (acceptable && code === undefined && state !== undefined) return missingCode()
  return state === undefined
    ? new AppError('missing_state', 'The callback carries no state. Start the login again.')
    : new AppError(
        'unknown_state',
        'The callback carries a state that this service did not issue. Start the login again.'
      )
}

function stored({ code, message }: AppError): Stored {
  return { code, detail: message }
}

function restored(outcome: Stored): Result {
  return 'userId' in outcome
    ? { ...outcome, first: false }
    : { error: new AppError(outcome.code, outcome.detail) }
}
