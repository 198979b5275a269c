import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import type { TokenProvider } from '../grants/access-token.ts'
import { logStateChanges } from '../grants/log-state-change.ts'
import { deriveGrantId } from '../grants/grant-id.ts'
import { computeKeepAliveAt } from '../grants/refresh-policy.ts'
import { encryptTokens } from '../grants/encrypt.ts'
import type { Consent } from '../oauth/connect-account.ts'
import { retryUntil } from '../lib/retry.ts'
import type { Provider } from '../providers/provider.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { ConnectionWithGrant } from '../store/repositories/connections.ts'
import type { StatementBuilder } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import type { Vault } from '../vault/vault.ts'
import { evaluateFeatures } from './features.ts'
import { eraseFromDisk } from './erasure.ts'
import { reevaluateConnections, type SiteSettings, type StopRuns } from './sites.ts'
import { resolveConnectionState } from './resolve-state.ts'

/** Below the time a browser waits for its callback. */
const SAVE_TIMEOUT_MS = 15_000
const RETRY_INTERVAL_MS = 100

const ACCOUNT_CHANGED_REASON = {
  code: 'interrupted',
  detail: 'Another account was connected during the run.'
} as const

export interface ConsentSettings {
  store: Store
  providers: ProviderRegistry
  vault: Vault
  tokenProvider: TokenProvider
  now: () => number
  stopRuns: StopRuns
  eraseCopiesStatements: SiteSettings['eraseCopiesStatements']
}

/**
 * Stores a consent: one grant per account and client, the connection of the user who gave it, and
 * its next run, in one transaction with the extra statements.
 *
 * @throws AppError `account_changed` if another account would silently replace the connected
 *   one, `vault_key_missing` if this instance lacks the key of a connection that uses the grant;
 *   nothing is stored then
 */
export async function saveConsent(
  settings: ConsentSettings,
  consent: Consent,
  log: Logger,
  extraStatements: StatementBuilder[]
): Promise<void> {
  const { store, vault, tokenProvider, now } = settings
  const { client, tokens, accountId, userId, sites } = consent
  const provider = settings.providers.get(client.provider)
  const existing = await store.connections.get(userId, provider.id)
  // Which account an altered connection had is unknown, so its copies go, and nothing can be confirmed.
  const isAltered = existing?.connection.isAuthentic === false
  const hasAccountChanged =
    existing !== undefined && (isAltered || existing.grant.accountId !== accountId)
  if (hasAccountChanged && !isAltered && !consent.changeAccount) {
    throw accountChangedError(provider.title)
  }

  const scopes = tokens.scopes ?? [...consent.requestedScopes]
  const id = deriveGrantId(client.clientId, accountId)
  // The grant's connections are evaluated again after the consent is stored, so a missing key of one
  // must be known before.
  await store.connections.listByGrant(id)
  const hasGrantChanged = existing !== undefined && existing.grant.id !== id
  if (hasGrantChanged) await settings.stopRuns(userId, provider.id)
  const resolvedState = resolveConnectionState(
    provider,
    scopes,
    { sites, refusedFeatures: [] },
    existing === undefined || hasAccountChanged ? [] : existing.connection.selectedSites
  )
  // The code works only once, so a database that is busy for a moment must not lose the consent.
  const changes = await retryUntil(
    async () =>
      await store.grants.connect(
        {
          id,
          clientId: client.clientId,
          accountId,
          scopes: scopes.join(' '),
          ...encryptTokens(vault, id, {
            access: tokens.accessToken,
            refresh: tokens.refreshToken,
            previous: null
          }),
          accessExpiresAt: new Date(now() + tokens.expiresInS * 1000),
          // Without a refresh token the consent ends when the access token expires, which the
          // maintenance job then reports.
          dueAt:
            tokens.refreshToken === null
              ? new Date(now() + tokens.expiresInS * 1000)
              : computeKeepAliveAt(now())
        },
        {
          userId,
          provider: provider.id,
          sites,
          ...resolvedState,
          emailDiffers: consent.emailDiffers,
          before:
            existing === undefined
              ? null
              : { grantId: existing.grant.id, state: hasAccountChanged ? null : existing.state }
        },
        // The new account may not see what the previous one saw.
        [
          ...(hasAccountChanged
            ? [
                store.runs.failActiveStatement(userId, provider.id, ACCOUNT_CHANGED_REASON),
                ...settings.eraseCopiesStatements(userId, provider.id)
              ]
            : []),
          ...(existing === undefined
            ? [store.checkpoints.invalidateStatement(userId, provider.id)]
            : []),
          // In the same transaction: a consent without its first run would wait for the schedule.
          store.runs.enqueueStatement(userId, provider.id),
          ...extraStatements
        ]
      ),
    performance.now() + SAVE_TIMEOUT_MS,
    RETRY_INTERVAL_MS
  )
  // Another consent was stored in between; evaluate again against it.
  if (changes === undefined) return await saveConsent(settings, consent, log, extraStatements)
  logStateChanges(changes, log)
  logFeatures(existing, provider, scopes, consent.requestedScopes, log)
  tokenProvider.invalidate(id)
  if (hasGrantChanged) await eraseFromDisk({ store, tokenProvider }, [existing.grant.id], log)
  // A successful exchange proves that the client's settings work.
  logStateChanges(await store.grants.markClientConfigured(client.clientId), log)
  await reevaluateConnections(settings, id, true, log)
}

function logFeatures(
  existing: ConnectionWithGrant | undefined,
  provider: Provider,
  scopes: readonly string[],
  requestedScopes: readonly string[],
  log: Logger
): void {
  const features = evaluateFeatures(provider, scopes, { refusedFeatures: [] }, requestedScopes)
  log.info({
    event: 'consent_saved',
    reconnected: existing !== undefined,
    features_on: features.filter(({ isEnabled }) => isEnabled).map(({ feature }) => feature.name),
    scopes_missing: [...new Set(features.flatMap(({ missingScopes }) => missingScopes))]
  })
}

function accountChangedError(title: string): AppError {
  return new AppError(
    'account_changed',
    `This Atlassian account differs from the one connected to ${title}. Nothing was changed. ` +
      'Confirm that it replaces the connected account, or log in with the connected account.'
  )
}
