import { AppError } from '../lib/errors.ts'
import type { Log } from '../lib/http-client.ts'
import type { Access } from '../grants/access-token.ts'
import { announce } from '../grants/log-state-change.ts'
import { grantIdOf } from '../grants/grant-id.ts'
import { keepAliveAt } from '../grants/refresh.ts'
import { sealAll } from '../grants/encrypt.ts'
import type { Client } from '../oauth/authorize-url.ts'
import type { Consent } from '../oauth/flow.ts'
import { retryUntil } from '../lib/retry.ts'
import { providerOf } from '../providers/index.ts'
import type { Standing } from '../store/repositories/connections.ts'
import type { WithStatement } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import type { Vault } from '../vault/vault.ts'
import { featuresOf } from './features.ts'
import { vanish } from './disconnect.ts'
import { reviewGrant, type SiteSettings, type StopRuns } from './sites.ts'
import { standing } from './resolve-state.ts'

/** Shorter than a browser waits for its callback. */
const PATIENCE_MS = 15_000
const TRY_AGAIN_MS = 100

const OTHER_ACCOUNT = {
  code: 'interrupted',
  detail: 'Another account was connected during the run.'
} as const

export interface ConsentSettings {
  store: Store
  vault: Vault
  access: Access
  now: () => number
  stopRuns: StopRuns
  erasing: SiteSettings['erasing']
}

/**
 * Keeps a consent: one grant for each account at each client, and the connection of the user who gave it. `also` is done
 * with it, or not at all.
 *
 * @throws AppError `account_changed` where another account would silently take the place of the connected one; nothing is stored then
 */
export async function keepConsent(
  settings: ConsentSettings,
  consent: Consent,
  log: Log,
  also: WithStatement[]
): Promise<void> {
  const { store, vault, access, now } = settings
  const { client, tokens, accountId, userId, sites } = consent
  const provider = providerOf(client.provider)
  const before = await store.connections.get(userId, provider.id)
  const changed = before !== undefined && before.grant.accountId !== accountId
  if (changed && !consent.changeAccount) throw accountChanged(provider.title)

  const scopes = tokens.scopes ?? [...consent.asked]
  const id = grantIdOf(client.clientId, accountId)
  const moved = before !== undefined && before.grant.id !== id
  if (moved) await settings.stopRuns(userId, provider.id)
  const own = standing(
    provider,
    scopes,
    { sites, refused: [] },
    before === undefined || changed ? [] : before.connection.bound
  )
  // The code is spent: a database that is busy for a moment must not cost the consent.
  const changes = await retryUntil(
    async () =>
      await store.grants.connect(
        {
          id,
          clientId: client.clientId,
          accountId,
          scopes: scopes.join(' '),
          ...sealAll(vault, id, {
            access: tokens.accessToken,
            refresh: tokens.refreshToken,
            previous: null
          }),
          accessExpiresAt: new Date(now() + tokens.expiresInS * 1000),
          // Without a refresh token the end of this one is the end of the consent, which is then to be said.
          dueAt:
            tokens.refreshToken === null
              ? new Date(now() + tokens.expiresInS * 1000)
              : keepAliveAt(now())
        },
        {
          userId,
          provider: provider.id,
          sites,
          ...own,
          before:
            before === undefined
              ? null
              : { grantId: before.grant.id, state: changed ? null : before.state }
        },
        // What the other account could see is not what this one can.
        [
          ...(changed
            ? [
                store.runs.endingActive(userId, provider.id, OTHER_ACCOUNT),
                ...settings.erasing(userId, provider.id)
              ]
            : []),
          ...(before === undefined ? [store.checkpoints.doubting(userId, provider.id)] : []),
          ...also
        ]
      ),
    performance.now() + PATIENCE_MS,
    TRY_AGAIN_MS
  )
  // Somebody else's consent came in between: it is looked at as the one before.
  if (changes === undefined) return await keepConsent(settings, consent, log, also)
  announce(changes, log)
  logFeatures(before, client, scopes, log)
  access.forget(id)
  if (moved) await vanish({ store, access }, [before.grant.id], log)
  // A code was exchanged: whatever was wrong with the client is not any more.
  announce(await store.grants.configured(client.clientId), log)
  await reviewGrant(store, id, true, log)
}

function logFeatures(
  before: Standing | undefined,
  { provider }: Client,
  scopes: readonly string[],
  log: Log
): void {
  const features = featuresOf(providerOf(provider), scopes, { refused: [] })
  log.info({
    event: 'consent_saved',
    reconnected: before !== undefined,
    features_on: features.filter(({ on }) => on).map(({ feature }) => feature.name),
    scopes_missing: [...new Set(features.flatMap(({ missing }) => missing))]
  })
}

function accountChanged(title: string): AppError {
  return new AppError(
    'account_changed',
    `This is another Atlassian account than the one that ${title} is connected with. Nothing was changed; confirm that the other one shall take its place, or log in with the first.`
  )
}
