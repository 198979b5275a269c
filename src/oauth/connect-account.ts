import { AppError } from '../lib/errors.ts'
import type { HttpClient, Logger } from '../lib/http-client.ts'
import { parseUserHint } from '../lib/user-hint.ts'
import type { Site } from '../model/site.ts'
import {
  createTokenRequest,
  fetchAccount,
  fetchProductSites,
  type Account
} from '../providers/atlassian.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { StatementBuilder } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import { normalizeEmail } from '../store/repositories/users.ts'
import type { LoginFlowRow } from '../store/repositories/login-flows.ts'
import type { OAuthClient } from './authorize-url.ts'
import type { StoredOutcome } from './login-outcome.ts'
import { describeOwner, predictOwner, resolveOwner, validateHint } from './resolve-user.ts'
import { exchangeCode, type TokenSet } from './tokens.ts'

export interface ConnectAccountSettings {
  store: Store
  providers: ProviderRegistry
  http: HttpClient
  /** The client with which a flow was started; undefined if it was removed from the settings. */
  findClient: (provider: string, clientId: string) => OAuthClient | undefined
  emailMismatch: 'allow' | 'flag' | 'refuse'
  /** Throws if tokens could not be stored; then the code is not exchanged. */
  prepareToEncrypt: () => Promise<void>
  /** Stores a consent together with the given statements. */
  saveConsent: (consent: Consent, log: Logger, statements: StatementBuilder[]) => Promise<void>
}

/** The result of a login, ready to be stored. */
export interface Consent {
  client: OAuthClient
  tokens: TokenSet
  accountId: string
  /** Noted in the audit trail. */
  emailDiffers: boolean
  userId: number
  /** The sites of the grant that have the product. */
  sites: Site[]
  /** The requested scopes, which count as granted if the token response names none. */
  requestedScopes: readonly string[]
  /** The person has confirmed that another account may replace the connected one. */
  changeAccount: boolean
}

/**
 * Exchanges the code and stores the result. Nothing is stored before Atlassian has accepted
 * the code.
 */
export async function connectAccount(
  settings: ConnectAccountSettings,
  flow: LoginFlowRow,
  code: string,
  logFor: (provider: string) => Logger
): Promise<number> {
  const { store } = settings
  const { stateHash, provider, clientId, redirectUri, callerState, scopes, changeAccount } = flow
  const log = logFor(provider)
  const client = settings.findClient(provider, clientId)
  if (client === undefined) {
    throw new AppError(
      'oauth_misconfigured',
      'The client id of this service was changed during the login. Start it again.'
    )
  }
  const hint = flow.userId === null ? parseUserHint(callerState) : { userId: flow.userId }
  await validateHint(store, hint)
  await settings.prepareToEncrypt()
  // An instance that lacks the key of the existing connection could not store the result.
  const ownerId = await predictOwner(store, hint)
  if (ownerId !== undefined) await store.connections.get(ownerId, provider)
  const tokens = await exchangeCode(settings.http, client, code, redirectUri, log)
  const access = {
    sendAuthorized: createTokenRequest(tokens.accessToken, settings.http, log),
    apiUrl: client.apiUrl,
    log
  }
  const [account, sites] = await Promise.all([
    fetchAccount(tokens.accessToken, tokens.scopes ?? scopes.split(' '), access),
    fetchProductSites(settings.providers.get(client.provider), access)
  ])
  const emailDiffers = await checkEmail(settings, flow, account, log)
  const userId = await resolveOwner(store, hint)
  const earlier = await store.connections.get(userId, provider)
  const newSites =
    earlier?.grant.accountId === account.id
      ? sites
          .map(({ cloudId }) => cloudId)
          .filter((cloudId) => !earlier.connection.sites.some((site) => site.cloudId === cloudId))
      : []
  // The outcome is stored in the same transaction as the tokens, so the two cannot disagree.
  await settings.saveConsent(
    {
      client,
      tokens,
      accountId: account.id,
      emailDiffers,
      userId,
      sites,
      requestedScopes: scopes.split(' ').filter(Boolean),
      changeAccount: changeAccount === 1
    },
    log,
    [
      store.loginFlows.finishStatement(
        stateHash,
        JSON.stringify({
          userId,
          ...(newSites.length === 0 ? {} : { newSites })
        } satisfies StoredOutcome)
      )
    ]
  )
  log.info({ event: 'oauth_user_token_persisted', user_id: userId, sites: sites.length })
  return userId
}

/**
 * Whether the account's address differs from that of the login's user, if the settings ask for that.
 *
 * @throws AppError `email_mismatch` if the settings refuse such an account
 */
async function checkEmail(
  { store, emailMismatch }: ConnectAccountSettings,
  flow: LoginFlowRow,
  { email }: Account,
  log: Logger
): Promise<boolean> {
  if (emailMismatch === 'allow') return false
  const expected = await describeOwner(store, flow)
  if (email !== null && expected !== null && normalizeEmail(email) === normalizeEmail(expected)) {
    return false
  }
  log.warn({ event: 'consent_email_differs', is_shown: email !== null })
  if (emailMismatch === 'flag') return true
  throw new AppError(
    'email_mismatch',
    'The Atlassian account has another email address than the user, or shows none. ' +
      'Nothing was stored. Log in with your own account.'
  )
}
