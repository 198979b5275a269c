import { setTimeout as sleep } from 'node:timers/promises'
import { runAsInitiator } from '../lib/actor.ts'
import { AppError, type ErrorCode } from '../lib/errors.ts'
import { isStorableText } from '../lib/formats.ts'
import type { HttpClient, Logger } from '../lib/http-client.ts'
import { fetchAccountId, createTokenRequest, fetchProductSites } from '../providers/atlassian.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { Site } from '../model/site.ts'
import type { LoginFlowRow } from '../store/repositories/login-flows.ts'
import type { StatementBuilder } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import { buildAuthorizeUrl, selectScopes, type OAuthClient } from './authorize-url.ts'
import { resolveOwner, validateHint } from './resolve-user.ts'
import { equalHashes, hashSecret, randomToken } from '../lib/secret.ts'
import { parseUserHint } from '../lib/user-hint.ts'
import { exchangeCode, type TokenSet } from './tokens.ts'

export const FLOW_LIFETIME_MS = 10 * 60 * 1000
/** All logins with a foreign `state` share one quota key. */
const FOREIGN_QUOTA_KEY = 'foreign'
/** How often a repeated callback polls for the first one's outcome. */
const OUTCOME_POLL_INTERVAL_MS = 50

export interface LoginFlowOptions {
  store: Store
  providers: ProviderRegistry
  http: HttpClient
  now: () => number
  /** Time-out of one exchange in ms, including connecting and reading. */
  exchangeTimeoutMs: number
  /** Maximum number of open logins stored per caller. */
  maxOpenLogins: number
  /**
   * Development accepts a callback whose state the service did not issue
   * (docs/reference/contract.md#4-login-and-callback).
   */
  acceptForeignState: boolean
  /** The client with which a flow was started; undefined if it was removed from the settings. */
  findClient: (provider: string, clientId: string) => OAuthClient | undefined
  /** Throws if tokens could not be stored; then the code is not exchanged. */
  assertVaultWritable: () => void
  /** Stores a consent together with the given statements. */
  saveConsent: (consent: Consent, log: Logger, statements: StatementBuilder[]) => Promise<void>
}

/** The result of a login, ready to be stored. */
export interface Consent {
  client: OAuthClient
  tokens: TokenSet
  accountId: string
  userId: number
  /** The sites of the grant that have the product. */
  sites: Site[]
  /** The requested scopes, which count as granted if the token response names none. */
  requestedScopes: readonly string[]
  /** The person has confirmed that another account may replace the connected one. */
  changeAccount: boolean
}

export interface LoginRequest {
  client: OAuthClient
  callerState: string | null
  returnUrl: string | null
  scope: string | undefined
  bindToBrowser: boolean
  userId: number | null
  quotaKey: string
  initiator: string
  existingScopes: readonly string[]
  changeAccount: boolean
}

export interface CallbackRequest {
  /** The product of the callback that was called; undefined for the callback that serves both. */
  provider: string | undefined
  query: { code?: string | undefined; state?: string | undefined; error?: string | undefined }
  /** Returns this browser's binding secret for the flow, if it sent one. */
  readBindingSecret: (flowName: string, redirectUri: string) => string | undefined
  /** The client for exchanging a code with a foreign state. */
  fallbackClient: () => OAuthClient | undefined
  /** Returns the request's logger with the product as a field. */
  logFor: (provider: string) => Logger
}

/** The result of a callback, and where to send the browser. */
export interface CallbackResult {
  provider: string
  redirectUri: string | null
  callerState: string | null
  returnUrl: string | null
  outcome: LoginOutcome
}

/** `isFirst` is true for the one request that performed the exchange. */
type LoginOutcome = { userId: number; isFirst: boolean } | { error: AppError }
type StoredOutcome = { userId: number } | { code: ErrorCode; detail: string }

/**
 * Handles logins of every product (RFC 6749 section 4.1;
 * docs/reference/contract.md#4-login-and-callback).
 */
export function createLoginFlowHandler(settings: LoginFlowOptions) {
  const { store, now, acceptForeignState } = settings

  /**
   * Starts a login. To bind the browser, put `bindingSecret` into a cookie named after
   * `flowName`.
   */
  async function startLogin({
    client,
    callerState,
    returnUrl,
    scope,
    bindToBrowser,
    userId,
    quotaKey,
    initiator,
    existingScopes,
    changeAccount
  }: LoginRequest) {
    const state = randomToken()
    const bindingSecret = bindToBrowser ? randomToken() : null
    const scopes = selectScopes(client.scopes, scope, existingScopes)
    await store.loginFlows.start(
      {
        stateHash: hashSecret(state),
        provider: client.provider,
        clientId: client.clientId,
        redirectUri: client.redirectUri,
        callerState,
        returnUrl,
        scopes: scopes.join(' '),
        changeAccount: Number(changeAccount),
        browserHash: bindingSecret === null ? null : hashSecret(bindingSecret),
        userId,
        quotaKey,
        initiator,
        expiresAt: new Date(now() + FLOW_LIFETIME_MS)
      },
      settings.maxOpenLogins
    )
    return {
      url: buildAuthorizeUrl(client, scopes, state),
      flowName: deriveFlowName(state),
      bindingSecret
    }
  }

  /**
   * Finishes a login: evaluates `error`, then `state`, then `code`. Never throws for anything a
   * caller can cause.
   */
  async function finishLogin(callback: CallbackRequest): Promise<CallbackResult> {
    const { state, error } = callback.query
    let flow: LoginFlowRow | undefined
    const toResult = (outcome: LoginOutcome): CallbackResult => ({
      provider: flow?.provider ?? callback.provider ?? settings.providers.fallback.id,
      redirectUri: flow?.redirectUri ?? null,
      callerState: flow?.callerState ?? null,
      returnUrl: flow?.returnUrl ?? null,
      outcome
    })
    try {
      flow = state === undefined ? undefined : await store.loginFlows.get(hashSecret(state))
      if (error !== undefined) throw await handleErrorResponse(error, flow, callback)
      flow ??= await adoptForeignState(callback)
      if (flow === undefined) {
        throw stateError({ query: callback.query, isForeignStateAccepted: acceptForeignState })
      }
      return toResult(await exchangeOnce(flow, callback))
    } catch (failure) {
      if (failure instanceof AppError) return toResult({ error: failure })
      throw failure
    }
  }

  /**
   * Creates a flow for a callback with a foreign state, identified by state and code, so that
   * its code is exchanged once as well.
   */
  async function adoptForeignState({
    query: { code, state },
    fallbackClient
  }: CallbackRequest): Promise<LoginFlowRow | undefined> {
    const client =
      acceptForeignState && code !== undefined && isStorableText(state ?? '')
        ? fallbackClient()
        : undefined
    if (client === undefined) return undefined
    const stateHash = hashSecret(JSON.stringify(['foreign', client.provider, state ?? null, code]))
    await store.loginFlows.start(
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
        quotaKey: FOREIGN_QUOTA_KEY,
        initiator: '',
        expiresAt: new Date(now() + FLOW_LIFETIME_MS)
      },
      settings.maxOpenLogins
    )
    return await store.loginFlows.get(stateHash)
  }

  /**
   * Exchanges the code once per flow: the request that claims the flow does it, all others
   * receive the same outcome.
   */
  async function exchangeOnce(
    flow: LoginFlowRow,
    callback: CallbackRequest
  ): Promise<LoginOutcome> {
    const { code } = callback.query
    const bindingError = checkBinding(flow, callback)
    if (bindingError !== undefined) throw bindingError
    if (code === undefined) throw missingCodeError()
    if (flow.codeHash === null && flow.expiresAt.getTime() <= now()) {
      throw new AppError('expired_state', 'The login took longer than ten minutes. Start it again.')
    }
    if (!(await store.loginFlows.claim(flow.stateHash, hashSecret(code)))) {
      return await waitForOutcome(flow.stateHash, hashSecret(code))
    }

    const result = await runAsInitiator(
      flow.initiator,
      async () => await connectAccount(flow, code, callback)
    ).then((userId) => ({ userId, isFirst: true }), toFailure)
    if ('error' in result) {
      await store.loginFlows.finish(flow.stateHash, JSON.stringify(serializeOutcome(result.error)))
    }
    return result
  }

  /** Waits for the outcome of the request that claimed the flow, in this process or another. */
  async function waitForOutcome(stateHash: string, codeHash: string): Promise<LoginOutcome> {
    while (true) {
      const flow = await store.loginFlows.get(stateHash)
      if (flow === undefined || flow.codeHash === null) break
      if (!equalHashes(flow.codeHash, codeHash)) {
        throw new AppError(
          'replayed_state',
          'This login was already completed with another code. Start it again.'
        )
      }
      if (flow.outcome !== null) return parseOutcome(JSON.parse(flow.outcome) as StoredOutcome)
      // A claim older than the exchange time-out has been abandoned.
      if (now() - (flow.claimedAt?.getTime() ?? 0) > settings.exchangeTimeoutMs) break
      await sleep(OUTCOME_POLL_INTERVAL_MS)
    }
    throw new AppError('callback_interrupted', 'The login was interrupted. Start it again.')
  }

  /** An error response consumes the flow like a code, if it comes from the bound browser. */
  async function handleErrorResponse(
    error: string,
    flow: LoginFlowRow | undefined,
    callback: CallbackRequest
  ): Promise<AppError> {
    const consentError =
      error === 'access_denied'
        ? new AppError('access_denied', 'Consent was not given.')
        : new AppError('oauth_error', 'Atlassian ended the login with an error. Start it again.')
    // A declined consent is reported as such even if the flow is unknown or bound to another
    // browser; it consumes nothing then.
    if (flow === undefined || checkBinding(flow, callback) !== undefined) return consentError
    if (await store.loginFlows.claim(flow.stateHash, hashSecret(error))) {
      await store.loginFlows.finish(flow.stateHash, JSON.stringify(serializeOutcome(consentError)))
    }
    return consentError
  }

  /**
   * Exchanges the code and stores the result. Nothing is stored before Atlassian has accepted
   * the code.
   */
  async function connectAccount(
    {
      stateHash,
      provider,
      clientId,
      redirectUri,
      callerState,
      scopes,
      changeAccount,
      userId: boundUserId
    }: LoginFlowRow,
    code: string,
    { logFor }: CallbackRequest
  ): Promise<number> {
    const log = logFor(provider)
    const client = settings.findClient(provider, clientId)
    if (client === undefined) {
      throw new AppError(
        'oauth_misconfigured',
        'The client id of this service was changed during the login. Start it again.'
      )
    }
    const hint = boundUserId === null ? parseUserHint(callerState) : { userId: boundUserId }
    await validateHint(store, hint)
    settings.assertVaultWritable()
    const tokens = await exchangeCode(settings.http, client, code, redirectUri, log)
    const access = {
      sendAuthorized: createTokenRequest(tokens.accessToken, settings.http, log),
      apiUrl: client.apiUrl,
      log
    }
    const [accountId, sites] = await Promise.all([
      fetchAccountId(tokens.accessToken, tokens.scopes ?? scopes.split(' '), access),
      fetchProductSites(settings.providers.get(client.provider), access)
    ])
    const userId = await resolveOwner(store, hint)
    // The outcome is stored in the same transaction as the tokens, so the two cannot disagree.
    await settings.saveConsent(
      {
        client,
        tokens,
        accountId,
        userId,
        sites,
        requestedScopes: scopes.split(' ').filter(Boolean),
        changeAccount: changeAccount === 1
      },
      log,
      [
        store.loginFlows.finishStatement(
          stateHash,
          JSON.stringify({ userId } satisfies StoredOutcome)
        )
      ]
    )
    log.info({ event: 'oauth_user_token_persisted', user_id: userId, sites: sites.length })
    return userId
  }

  return { startLogin, finishLogin }
}

export type LoginFlowHandler = ReturnType<typeof createLoginFlowHandler>

/** Checks that the callback belongs to the flow's product and comes from its browser. */
function checkBinding(
  flow: LoginFlowRow,
  { provider, query: { state = '' }, readBindingSecret }: CallbackRequest
): AppError | undefined {
  if (provider !== undefined && provider !== flow.provider) {
    return new AppError(
      'wrong_product',
      'The login was started for another product. Start it again.'
    )
  }
  if (flow.browserHash === null) return undefined
  const secret = readBindingSecret(deriveFlowName(state), flow.redirectUri)
  if (secret !== undefined && equalHashes(hashSecret(secret), flow.browserHash)) return undefined
  return new AppError(
    'wrong_browser',
    'The login was started in another browser or under another URL of this service. Start it again here.'
  )
}

/**
 * Derives the name of a flow's cookie, so that several tabs can log in at once. It reveals
 * nothing about the state.
 */
function deriveFlowName(state: string): string {
  return hashSecret(`flow ${state}`).slice(0, 12)
}

function toFailure(error: unknown): { error: AppError } {
  return {
    error:
      error instanceof AppError
        ? error
        : new AppError('internal_error', 'Internal Server Error', { cause: error })
  }
}

function missingCodeError(): AppError {
  return new AppError('missing_code', 'The callback carries no code. Start the login again.')
}

function stateError({
  query: { state, code },
  isForeignStateAccepted
}: {
  query: CallbackRequest['query']
  isForeignStateAccepted: boolean
}): AppError {
  if (isForeignStateAccepted && code === undefined && state !== undefined) return missingCodeError()
  return state === undefined
    ? new AppError('missing_state', 'The callback carries no state. Start the login again.')
    : new AppError(
        'unknown_state',
        'The callback carries a state that this service did not issue. Start the login again.'
      )
}

function serializeOutcome({ code, message }: AppError): StoredOutcome {
  return { code, detail: message }
}

function parseOutcome(outcome: StoredOutcome): LoginOutcome {
  return 'userId' in outcome
    ? { ...outcome, isFirst: false }
    : { error: new AppError(outcome.code, outcome.detail) }
}
