import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { CLIENT_REMOVED } from '../oauth/clients.ts'
import type { ClientCredentials, TokenSet } from '../oauth/tokens.ts'
import { addJitter } from '../lib/backoff.ts'
import { retryUntil } from '../lib/retry.ts'
import type { RefreshAttempt, RefreshedTokens, Grant } from '../store/repositories/grants.ts'
import type { Vault } from '../vault/vault.ts'
import { logStateChanges } from './log-state-change.ts'
import { exchangeTokens, type ExchangeSettings } from './exchange-tokens.ts'
import { recordMissingRefreshToken, recordRefreshFailure } from './record-refresh-failure.ts'
import { computeKeepAliveAt } from './refresh-policy.ts'
import { createStaleLeaseDetector } from './stale-lease.ts'
import { decideToken, type TokenRequirements } from './token-decision.ts'
import { decryptOrMark } from './decrypt.ts'
import { decryptAccessToken, decryptTokens, encryptTokens } from './encrypt.ts'

/** Old tokens work this long after an exchange (docs/reference/atlassian.md#31-rotation). */
const PREVIOUS_TOKEN_GRACE_MS = 10 * 60_000
/**
 * If two exchanges of one refresh token may have overlapped, it is unknown which pair survives
 * the grace period (docs/reference/atlassian.md#31-rotation). One more exchange of the stored
 * pair, after the other must have ended and within the grace period, settles it.
 */
const CONFIRMATION_DELAY_MS = 2 * 60_000
/**
 * Maximum concurrent exchanges per process, so that many grants expiring together do not
 * overload Atlassian.
 */
const MAX_CONCURRENT_EXCHANGES = 8
/** How often a caller that waits for another process polls. */
const POLL_INTERVAL_MS = 30

export interface RefreshSettings extends ExchangeSettings {
  vault: Vault
  /** The configured client with this id; undefined if it was removed from the settings. */
  findClient: (clientId: string) => ClientCredentials | undefined
  /**
   * Milliseconds after which another process may repeat the exchange; longer than two exchanges.
   */
  leaseTtlMs: number
  /** Called when a refresh returned other scopes than the stored ones. */
  onScopesChanged: (grantId: string, log: Logger) => Promise<void>
}

/**
 * Refreshes token pairs: one exchange per grant at a time, whatever the number of callers,
 * processes and crashes.
 *
 * The order matters. A lease is acquired in the database, which also records the attempt;
 * Atlassian is called with a time-out shorter than the lease; the new pair is saved only if the
 * lease and the replaced version are unchanged, and used only after that. If the process dies in
 * between, the recorded attempt remains, and the next process repeats the exchange with the old
 * token while it still works.
 *
 * @param waitToRead resolves when a grant may be read and decrypted
 * @returns `refreshGrant`, which resolves to a token that meets the requirements; it throws
 *   AppError `needs_reconnect`, `oauth_misconfigured`, or an `upstream_…` code with the time of
 *   the next attempt
 */
export function createTokenRefresher(settings: RefreshSettings, waitToRead: () => Promise<void>) {
  const {
    store: { grants },
    vault,
    now,
    exchangeTimeoutMs,
    leaseTtlMs
  } = settings
  const limit = pLimit(MAX_CONCURRENT_EXCHANGES)
  const inFlight = new Set<Promise<unknown>>()

  async function refreshGrant(
    id: string,
    requirements: TokenRequirements,
    log: Logger
  ): Promise<string> {
    const deadline = performance.now() + leaseTtlMs + 2 * exchangeTimeoutMs + POLL_INTERVAL_MS
    const isStaleLease = createStaleLeaseDetector(leaseTtlMs)
    while (true) {
      await waitToRead()
      const grant = await grants.get(id)
      if (grant === undefined) {
        throw new AppError('not_connected', 'This connection no longer exists.')
      }
      const decision = decideToken(
        grant,
        await decryptOrMark(settings, grant, log, decryptAccessToken),
        requirements,
        now()
      )
      if (decision.kind === 'use') return decision.token
      if (decision.kind === 'refuse') {
        throw await recordMissingRefreshToken(settings.store, grant, decision.error, log)
      }
      const holder = await grants.findRefreshLease(id)
      const isStale = isStaleLease(holder)
      if (holder === undefined || holder.isExpired || isStale) {
        const token = await runLimited(() =>
          attemptRefresh(grant, decision.token, isStale ? holder?.owner : undefined, log)
        )
        if (token !== undefined) return token
      } else {
        // Another process is refreshing; a caller whose token still works does not wait.
        if (decision.token !== undefined) return decision.token
        if (performance.now() > deadline) {
          throw new AppError(
            'unavailable',
            'Another process is refreshing the tokens of this connection. Try again in a moment.',
            { retryAfterS: 1 }
          )
        }
        await sleep(addJitter(POLL_INTERVAL_MS, 0.5))
      }
    }
  }

  /** Limits concurrency; work that has started always runs to its end. */
  async function runLimited<T>(work: () => Promise<T>): Promise<T> {
    const task = limit(work)
    inFlight.add(task)
    return await task.finally(() => {
      inFlight.delete(task)
    })
  }

  /** @returns undefined if another process was first: read again */
  async function attemptRefresh(
    grant: Grant,
    usableToken: string | undefined,
    staleOwner: string | undefined,
    log: Logger
  ): Promise<string | undefined> {
    const attempt: RefreshAttempt = { id: grant.id, version: grant.version, owner: randomUUID() }
    const client = settings.findClient(grant.clientId)
    if (client === undefined) throw new AppError('needs_reconnect', CLIENT_REMOVED.detail)
    const tokens = await decryptOrMark(settings, grant, log, decryptTokens)
    await vault.prepareToEncrypt()
    const deadline = performance.now() + leaseTtlMs - exchangeTimeoutMs / 2
    if (
      !(await grants.beginRefresh(
        attempt,
        grant.failures,
        leaseTtlMs,
        new Date(now() + leaseTtlMs),
        staleOwner
      ))
    ) {
      return undefined
    }
    log.info({
      event: 'grant_refresh_start',
      grant_id: grant.id,
      repeated: grant.attemptAt !== null
    })
    const startedAt = now()
    const { isAmbiguous, ...outcome } = await exchangeTokens(
      settings,
      grant,
      client,
      tokens,
      deadline,
      log
    )
    const ambiguousSince = grant.attemptAt?.getTime() ?? (isAmbiguous ? startedAt : null)
    if ('error' in outcome) {
      return await recordRefreshFailure(
        settings,
        { grant, attempt, error: outcome.error, ambiguousSince, usableToken, startedAt },
        log
      )
    }
    // A failure from here on is not Atlassian's: the recorded attempt stays, and the exchange is
    // repeated.
    return await saveTokens(
      grant,
      attempt,
      outcome,
      startedAt,
      ambiguousSince !== null,
      deadline,
      log
    )
  }

  /** The exchanged refresh token works a little longer, so it is kept as long. */
  async function saveTokens(
    grant: Grant,
    attempt: RefreshAttempt,
    { tokens, usedRefreshToken }: { tokens: TokenSet; usedRefreshToken: string },
    startedAt: number,
    isAmbiguous: boolean,
    deadline: number,
    log: Logger
  ): Promise<string | undefined> {
    const isRotated = tokens.refreshToken !== null
    const scopes = tokens.scopes?.join(' ') ?? grant.scopes
    const refreshedTokens: RefreshedTokens = {
      ...encryptTokens(vault, grant.id, {
        access: tokens.accessToken,
        refresh: tokens.refreshToken ?? usedRefreshToken,
        previous: isRotated ? usedRefreshToken : null
      }),
      previousUntil: isRotated ? new Date(startedAt + PREVIOUS_TOKEN_GRACE_MS) : null,
      accessExpiresAt: new Date(startedAt + tokens.expiresInS * 1000),
      rotatedAt: new Date(now()),
      dueAt: isAmbiguous ? new Date(now() + CONFIRMATION_DELAY_MS) : computeKeepAliveAt(now()),
      scopes
    }
    // A rotated pair that is not saved is lost when the old one expires, so saving is retried as
    // long as the lease lasts.
    const { done, changes } = await retryUntil(
      async () => await grants.saveTokens(attempt, refreshedTokens),
      deadline,
      POLL_INTERVAL_MS
    )
    if (!done) return await recordSuperseded(grant, log)
    log.info({ event: 'grant_refreshed', grant_id: grant.id })
    logStateChanges(changes, log)
    if (grant.state === 'misconfigured') {
      logStateChanges(await grants.markClientConfigured(grant.clientId), log)
    }
    if (scopes !== grant.scopes) await settings.onScopesChanged(grant.id, log)
    return tokens.accessToken
  }

  /** Too late: another process has stored a pair, which stays. */
  async function recordSuperseded({ id }: Grant, log: Logger): Promise<undefined> {
    log.warn(
      { event: 'grant_refresh_superseded', grant_id: id },
      'The refresh outlasted its lease; the newer tokens are kept.'
    )
    await grants.scheduleRefresh(id, new Date(now() + CONFIRMATION_DELAY_MS))
  }

  return {
    refreshGrant,

    /** Resolves when no exchange is in flight: every started one has been saved. */
    async drain(): Promise<void> {
      while (inFlight.size > 0) await Promise.allSettled(inFlight)
    }
  }
}
