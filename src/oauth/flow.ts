import { runAsInitiator } from '../lib/actor.ts'
import { AppError } from '../lib/errors.ts'
import { isStorableText } from '../lib/formats.ts'
import type { Logger } from '../lib/http-client.ts'
import { hashSecret } from '../lib/secret.ts'
import type { Store } from '../store/index.ts'
import type { LoginFlowRow } from '../store/repositories/login-flows.ts'
import type { OAuthClient } from './authorize-url.ts'
import { checkBinding, type BoundCallback } from './browser-binding.ts'
import { connectAccount, type ConnectAccountSettings } from './connect-account.ts'
import {
  serializeFailure,
  toFailure,
  waitForOutcome,
  type LoginOutcome,
  type OutcomeSettings
} from './login-outcome.ts'
import { createLoginStarter, FLOW_LIFETIME_MS, type LoginStarterOptions } from './start-login.ts'

/** All logins with a foreign `state` share one quota key. */
const FOREIGN_QUOTA_KEY = 'foreign'

export interface LoginFlowOptions
  extends ConnectAccountSettings, OutcomeSettings, LoginStarterOptions {
  store: Store
  now: () => number
  /**
   * Development accepts a callback whose state the service did not issue
   * (docs/reference/contract.md#4-login-and-callback).
   */
  acceptForeignState: boolean
}

export interface CallbackRequest extends BoundCallback {
  query: { code?: string | undefined; state?: string | undefined; error?: string | undefined }
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

/**
 * Handles logins of every product (RFC 6749 section 4.1;
 * docs/reference/contract.md#4-login-and-callback).
 */
export function createLoginFlowHandler(settings: LoginFlowOptions) {
  const { store, now, acceptForeignState } = settings

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
      return await waitForOutcome(settings, flow.stateHash, hashSecret(code))
    }

    const result = await runAsInitiator(
      flow.initiator,
      async () => await connectAccount(settings, flow, code, callback.logFor)
    ).then((userId) => ({ userId, isFirst: true }), toFailure)
    if ('error' in result) {
      await store.loginFlows.finish(flow.stateHash, JSON.stringify(serializeFailure(result.error)))
    }
    return result
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
      await store.loginFlows.finish(flow.stateHash, JSON.stringify(serializeFailure(consentError)))
    }
    return consentError
  }

  return { ...createLoginStarter(settings), finishLogin }
}

export type LoginFlowHandler = ReturnType<typeof createLoginFlowHandler>

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
