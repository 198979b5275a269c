import { hashSecret, randomToken } from '../lib/secret.ts'
import type { Store } from '../store/index.ts'
import type { LoginFlowRow } from '../store/repositories/login-flows.ts'
import { buildAuthorizeUrl, selectScopes, type OAuthClient } from './authorize-url.ts'
import { deriveFlowName } from './browser-binding.ts'

export const FLOW_LIFETIME_MS = 10 * 60 * 1000
/** How long the address that continues a login works. */
const TICKET_LIFETIME_MS = 60 * 1000

export interface LoginStarterOptions {
  store: Pick<Store, 'loginFlows'>
  now: () => number
  /** Maximum number of open logins stored per caller. */
  maxOpenLogins: number
}

export interface LoginRequest {
  client: OAuthClient
  callerState: string | null
  returnUrl: string | null
  scope: string | undefined
  userId: number | null
  quotaKey: string
  initiator: string
  existingScopes: readonly string[]
  changeAccount: boolean
}

/** A started login. To bind the browser, put `bindingSecret` into a cookie named after `flowName`. */
export interface StartedLogin {
  /** Atlassian's URL, which asks for consent. */
  url: string
  flowName: string
  bindingSecret: string
}

/** Starts logins, at once or in two steps: a ticket first, and the login in the browser that brings it. */
export function createLoginStarter({ store, now, maxOpenLogins }: LoginStarterOptions) {
  const { loginFlows } = store

  async function storeLogin(
    { client, changeAccount, scope, existingScopes, ...request }: LoginRequest,
    key: { stateHash: string; browserHash: string | null; lifetimeMs: number }
  ): Promise<string[]> {
    const { lifetimeMs, ...hashes } = key
    const scopes = selectScopes(client.scopes, scope, existingScopes)
    await loginFlows.start(
      {
        ...request,
        ...hashes,
        provider: client.provider,
        clientId: client.clientId,
        redirectUri: client.redirectUri,
        scopes: scopes.join(' '),
        changeAccount: Number(changeAccount),
        expiresAt: new Date(now() + lifetimeMs)
      },
      maxOpenLogins
    )
    return scopes
  }

  return {
    /** Starts a login that the callback accepts from any browser: the caller has to bind it. */
    async startUnbound(request: LoginRequest): Promise<string> {
      const state = randomToken()
      const scopes = await storeLogin(request, {
        stateHash: hashSecret(state),
        browserHash: null,
        lifetimeMs: FLOW_LIFETIME_MS
      })
      return buildAuthorizeUrl(request.client, scopes, state)
    },

    /** Starts a login in the browser that makes the request. */
    async startBound(request: LoginRequest): Promise<StartedLogin> {
      const { state, bindingSecret, hashes } = createBinding()
      const scopes = await storeLogin(request, { ...hashes, lifetimeMs: FLOW_LIFETIME_MS })
      const url = buildAuthorizeUrl(request.client, scopes, state)
      return { url, flowName: deriveFlowName(state), bindingSecret }
    },

    /**
     * Prepares a login that some browser will start.
     *
     * @returns the ticket for it, valid for a minute and once
     */
    async prepare(request: LoginRequest): Promise<string> {
      const ticket = randomToken()
      await storeLogin(request, {
        stateHash: hashTicket(ticket),
        browserHash: null,
        lifetimeMs: TICKET_LIFETIME_MS
      })
      return ticket
    },

    /** The login of a ticket; undefined if the ticket has expired or been used. */
    async findPrepared(ticket: string): Promise<LoginFlowRow | undefined> {
      const flow = await loginFlows.get(hashTicket(ticket))
      return flow === undefined || flow.expiresAt.getTime() <= now() ? undefined : flow
    },

    /**
     * Starts the login of a ticket in the browser that makes the request.
     *
     * @returns undefined if the ticket has expired or been used
     */
    async startPrepared(ticket: string, client: OAuthClient): Promise<StartedLogin | undefined> {
      const { state, bindingSecret, hashes } = createBinding()
      const flow = await loginFlows.redeem(hashTicket(ticket), {
        ...hashes,
        expiresAt: new Date(now() + FLOW_LIFETIME_MS)
      })
      if (flow === undefined) return undefined
      const url = buildAuthorizeUrl(
        { ...client, redirectUri: flow.redirectUri },
        flow.scopes.split(' '),
        state
      )
      return { url, flowName: deriveFlowName(state), bindingSecret }
    }
  }
}

function createBinding() {
  const [state, bindingSecret] = [randomToken(), randomToken()]
  return {
    state,
    bindingSecret,
    hashes: { stateHash: hashSecret(state), browserHash: hashSecret(bindingSecret) }
  }
}

/** No state has this hash, so a ticket cannot be used as one. */
function hashTicket(ticket: string): string {
  return hashSecret(`ticket ${ticket}`)
}
