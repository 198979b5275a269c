import { createHash } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Http, Log } from '../http.ts'
import type { Store } from '../store/index.ts'
import type { WithStatement } from '../store/engine.ts'
import type { FreshTokens, Grant, Site } from '../store/grants.ts'
import type { Vault } from '../vault/vault.ts'
import type { Client } from './client.ts'
import { refreshTokens, type ClientCredentials, type TokenSet } from './tokens.ts'

/** A token with less than this left is replaced before it is used. */
const MIN_VALIDITY_MS = 60_000
const LOST: ReadonlySet<string> = new Set(['upstream_timeout', 'upstream_unreachable', 'upstream_failed'])

type Column = 'access_token' | 'refresh_token'

export interface GrantsSettings {
  store: Store
  vault: Vault
  http: Http
  now: () => number
  /** The configured client with this id; undefined once an operator has replaced it. */
  clientById: (clientId: string) => ClientCredentials | undefined
}

/** What a consent brought, ready to be kept. */
export interface Consent { client: Client, tokens: TokenSet, accountId: string, userId: number, sites: Site[] }

/** The only way to a token: grants are sealed on the way in, opened and kept alive on the way out. */
export function createGrants ({ store, vault, http, now, clientById }: GrantsSettings) {
  const refreshing = new Map<string, Promise<string>>()

  const sealed = (id: string, tokens: TokenSet, older: string | null): FreshTokens => ({
    accessToken: vault.seal(tokens.accessToken, place(id, 'access_token')),
    refreshToken: tokens.refreshToken === null ? older : vault.seal(tokens.refreshToken, place(id, 'refresh_token')),
    accessExpiresAt: new Date(now() + tokens.expiresInS * 1000)
  })

  function opened (id: string, column: Column, sealed: string): string {
    try {
      return vault.open(sealed, place(id, column))
    } catch (cause) {
      throw new AppError('needs_reconnect', 'The stored tokens of this connection do not open with the vault keys at hand. Restore the key, or connect again.', { cause })
    }
  }

  async function refresh (grant: Grant, log: Log): Promise<string> {
    const client = clientById(grant.clientId)
    if (client === undefined) throw new AppError('needs_reconnect', 'This connection belongs to a client id that is no longer configured. Connect again.')
    if (grant.refreshToken === null) {
      await store.grants.giveUp(grant.id, grant.version)
      throw new AppError('needs_reconnect', 'This connection has expired and was made without offline access. Connect again.')
    }
    try {
      const tokens = await twice(() => refreshTokens(http, client, opened(grant.id, 'refresh_token', grant.refreshToken ?? ''), log))
      const swapped = await store.grants.swap(grant.id, grant.version, sealed(grant.id, tokens, grant.refreshToken))
      log.info({ event: swapped ? 'grant_refreshed' : 'grant_refresh_superseded', grant_id: grant.id })
      return swapped ? tokens.accessToken : await newer(grant) ?? tokens.accessToken
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'needs_reconnect') throw error
      const token = await newer(grant)
      if (token !== undefined) return token
      await store.grants.giveUp(grant.id, grant.version)
      throw error
    }
  }

  /** What somebody else stored in the meantime, a new consent or another process's refresh: it beats our answer. */
  async function newer ({ id, version }: Grant): Promise<string | undefined> {
    const stored = await store.grants.get(id)
    return stored === undefined || stored.version === version ? undefined : opened(id, 'access_token', stored.accessToken)
  }

  /**
   * A token that is valid for at least another minute, refreshed at most once at a time.
   *
   * @param refused a token Atlassian has just turned down: if it is still the stored one it is replaced
   * @throws AppError `needs_reconnect`, `oauth_misconfigured`, or `upstream_…`
   */
  async function accessToken (grantId: string, log: Log, refused?: string): Promise<string> {
    const grant = await store.grants.get(grantId)
    if (grant === undefined) throw new AppError('not_connected', 'This connection is gone.')
    const token = opened(grantId, 'access_token', grant.accessToken)
    if (token !== refused && grant.accessExpiresAt.getTime() - now() >= MIN_VALIDITY_MS) return token
    const running = refreshing.get(grantId) ?? refresh(grant, log).finally(() => refreshing.delete(grantId))
    refreshing.set(grantId, running)
    return await running
  }

  return {
    accessToken,

    /** Keeps a consent: one grant for each account at each client, and the connection of the user who gave it. `also` is done with it, or not at all. */
    async keep ({ client, tokens, accountId, userId, sites }: Consent, also: WithStatement[]): Promise<void> {
      const id = grantId(client.clientId, accountId)
      await store.grants.connect(
        { id, clientId: client.clientId, accountId, scopes: (tokens.scopes ?? client.scopes).join(' '), ...sealed(id, tokens, null) },
        { userId, provider: client.provider, sites },
        also
      )
    }
  }
}

export type Grants = ReturnType<typeof createGrants>

/** Derived, so that two consents of one account meet in one row, and known before sealing, because it is sealed in. */
function grantId (clientId: string, accountId: string): string {
  return createHash('sha256').update(JSON.stringify([clientId, accountId])).digest('hex').slice(0, 32)
}

/** An answer that was lost is asked for again at once, while the old refresh token still works (atlassian.md section 3.3). */
async function twice<T> (ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof AppError && LOST.has(error.code)) return await ask()
    throw error
  }
}

function place (grantId: string, column: Column): string {
  return `grants/${grantId}/${column}`
}
