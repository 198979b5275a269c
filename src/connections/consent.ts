import { AppError } from '../errors.ts'
import type { Log } from '../http.ts'
import { announce } from '../grants/announce.ts'
import { grantIdOf } from '../grants/identity.ts'
import { keepAliveAt } from '../grants/refresh.ts'
import { sealAll } from '../grants/sealing.ts'
import type { Client } from '../oauth/client.ts'
import type { Consent } from '../oauth/flow.ts'
import { providerOf } from '../providers/index.ts'
import type { Standing } from '../store/connections.ts'
import type { WithStatement } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import type { Vault } from '../vault/vault.ts'
import { featuresOf } from './features.ts'
import type { SiteSettings } from './sites.ts'
import { standing } from './standing.ts'

export interface ConsentSettings {
  store: Store
  vault: Vault
  now: () => number
  /** Forgets the token that the grant had before. */
  forget: (grantId: string) => void
  /** Stops what is being copied for an owner; resolves when it has stopped. */
  stopRuns: (userId: number, provider: string) => Promise<void>
  /** Erases the synced copies of one owner and product. */
  erasing: SiteSettings['erasing']
  /** Looks at the other connections of a grant after its scopes have changed. */
  onScopes: (grantId: string, log: Log) => Promise<void>
}

/**
 * Keeps a consent: one grant for each account at each client, and the connection of the user who gave it. `also` is done
 * with it, or not at all.
 *
 * @throws AppError `account_changed` where another account would silently take the place of the connected one; nothing is stored then
 */
export async function keepConsent (settings: ConsentSettings, consent: Consent, log: Log, also: WithStatement[]): Promise<void> {
  const { store, vault, now } = settings
  const { client, tokens, accountId, userId, sites } = consent
  const provider = providerOf(client.provider)
  const before = await store.connections.get(userId, provider.id)
  const changed = before !== undefined && before.grant.accountId !== accountId
  if (changed && !consent.changeAccount) throw accountChanged(provider.title)

  if (changed) await settings.stopRuns(userId, provider.id)
  const scopes = tokens.scopes ?? [...client.scopes]
  const id = grantIdOf(client.clientId, accountId)
  const own = standing(provider, scopes, { sites, refused: [] }, before === undefined || changed ? [] : before.connection.bound)
  const changes = await store.grants.connect(
    {
      id,
      clientId: client.clientId,
      accountId,
      scopes: scopes.join(' '),
      ...sealAll(vault, id, { access: tokens.accessToken, refresh: tokens.refreshToken, previous: null }),
      accessExpiresAt: new Date(now() + tokens.expiresInS * 1000),
      dueAt: tokens.refreshToken === null ? null : keepAliveAt(now())
    },
    { userId, provider: provider.id, sites, ...own, was: before?.state ?? null },
    // What the other account could see is not what this one can.
    [...(changed ? settings.erasing(userId, provider.id) : []), ...also]
  )
  settings.forget(id)
  announce(changes, log)
  logFeatures(before, client, scopes, log)
  await settings.onScopes(id, log)
}

function logFeatures (before: Standing | undefined, { provider }: Client, scopes: readonly string[], log: Log): void {
  const features = featuresOf(providerOf(provider), scopes, { refused: [] })
  log.info({
    event: 'consent_kept',
    reconnected: before !== undefined,
    features_on: features.filter(({ on }) => on).map(({ feature }) => feature.name),
    scopes_missing: [...new Set(features.flatMap(({ missing }) => missing))]
  })
}

function accountChanged (title: string): AppError {
  return new AppError('account_changed', `This is another Atlassian account than the one that ${title} is connected with. Nothing was changed; confirm that the other one shall take its place, or log in with the first.`)
}
