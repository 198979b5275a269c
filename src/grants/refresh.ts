import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { AppError } from '../lib/errors.ts'
import type { HttpClient, Logger } from '../lib/http-client.ts'
import { CLIENT_REMOVED } from '../oauth/clients.ts'
import { refreshTokens, type ClientCredentials, type TokenSet } from '../oauth/tokens.ts'
import { retryUntil } from '../lib/retry.ts'
import type { RefreshAttempt, RefreshedTokens, Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'
import type { Vault } from '../vault/vault.ts'
import { logStateChanges } from './log-state-change.ts'
import {
  planNextAttempt,
  computeBackoffMs,
  classifyFailure,
  AMBIGUOUS_ERRORS
} from './refresh-policy.ts'
import { createStaleLeaseDetector } from './stale-lease.ts'
import { noOfflineAccessError, decideToken, type TokenRequirements } from './token-decision.ts'
import { decryptOrMark } from './decrypt.ts'
import { decryptAccessToken, decryptTokens, encryptTokens, type PlainTokens } from './encrypt.ts'

/** Old tokens work this long after an exchange (docs/reference/atlassian.md#31-rotation). */
const PREVIOUS_TOKEN_GRACE_MS = 10 * 60_000
/**
 * If two exchanges of one refresh token may have overlapped, it is unknown which pair survives
 * the grace period (docs/reference/atlassian.md#31-rotation). One more exchange of the stored
 * pair, after the other must have ended and within the grace period, settles it.
 */
const CONFIRMATION_DELAY_MS = 2 * 60_000
const DAY_MS = 86_400_000
/**
 * A refresh token expires after 90 idle days (docs/reference/atlassian.md#31-rotation). Jitter
 * spreads grants that were made on the same day.
 */
const [MIN_KEEP_ALIVE_MS, KEEP_ALIVE_JITTER_MS] = [60 * DAY_MS, 15 * DAY_MS]
/**
 * Maximum concurrent exchanges per process, so that many grants expiring together do not
 * overload Atlassian.
 */
const MAX_CONCURRENT_EXCHANGES = 8
/** How often a caller that waits for another process polls. */
const POLL_INTERVAL_MS = 30

export interface RefreshSettings {
  store: Store
  vault: Vault
  http: HttpClient
  now: () => number
  /** The configured client with this id; undefined if it was removed from the settings. */
  findClient: (clientId: string) => ClientCredentials | undefined
  /** Time-out of one exchange in ms, including connecting and reading. */
  exchangeTimeoutMs: number
  /**
   * Milliseconds after which another process may repeat the exchange; longer than two exchanges.
   */
  leaseTtlMs: number
  /** Called when a refresh returned other scopes than the stored ones. */
  onScopesChanged: (grantId: string, log: Logger) => Promise<void>
}

/**
 * The result of an exchange. `isAmbiguous`: one of its answers was lost, so Atlassian may have
 * rotated more than once.
 */
type TokenExchange = { isAmbiguous: boolean } & (
  { tokens: TokenSet; usedRefreshToken: string } | { error: unknown }
)

/** When the maintenance job refreshes a pair that nobody uses. */
export function computeKeepAliveAt(now: number): Date {
  return new Date(now + MIN_KEEP_ALIVE_MS + Math.random() * KEEP_ALIVE_JITTER_MS)
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
 * @returns `refreshGrant`, which resolves to a token that meets the requirements; it throws
 *   AppError `needs_reconnect`, `oauth_misconfigured`, or an `upstream_…` code with the time of
 *   the next attempt
 */
export function createTokenRefresher(settings: RefreshSettings) {
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
        throw await recordMissingRefreshToken(grant, decision.error, log)
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
        await sleep(POLL_INTERVAL_MS * (0.5 + Math.random()))
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
    vault.assertCanEncrypt()
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
    const { isAmbiguous, ...outcome } = await exchangeTokens(grant, client, tokens, deadline, log)
    const ambiguousSince = grant.attemptAt?.getTime() ?? (isAmbiguous ? startedAt : null)
    if ('error' in outcome) {
      return await recordFailure(
        grant,
        attempt,
        outcome.error,
        ambiguousSince,
        usableToken,
        startedAt,
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

  /**
   * Retries at once if the answer was lost. If the pair is rejected, tries the previous one
   * while it lives. Sends nothing that could outlast the lease.
   */
  async function exchangeTokens(
    grant: Grant,
    client: ClientCredentials,
    { refresh, previous }: PlainTokens,
    deadline: number,
    log: Logger
  ): Promise<TokenExchange> {
    let isAmbiguous = false
    // Do not retry for a grant that was removed, refreshed or replaced elsewhere meanwhile.
    const isCurrent = async () => (await grants.get(grant.id))?.version === grant.version
    const requestRefresh = async (refreshToken: string) => {
      const tokens = await refreshTokens(
        settings.http,
        client,
        refreshToken,
        log,
        Math.max(1, Math.floor(Math.min(exchangeTimeoutMs, deadline - performance.now())))
      )
      return { tokens, usedRefreshToken: refreshToken }
    }
    const exchangeWithRetry = async (refreshToken: string) =>
      await requestRefresh(refreshToken).catch(async (error: unknown) => {
        if (!(error instanceof AppError) || !AMBIGUOUS_ERRORS.has(error.code)) throw error
        isAmbiguous = true
        if (!(await isCurrent()) || deadline - performance.now() < exchangeTimeoutMs / 2) {
          throw error
        }
        return await requestRefresh(refreshToken)
      })
    try {
      return {
        isAmbiguous,
        ...(await exchangeWithRetry(refresh ?? '').catch(async (error: unknown) => {
          const isPreviousUsable =
            grant.previousUntil !== null &&
            grant.previousUntil.getTime() > now() &&
            deadline - performance.now() > exchangeTimeoutMs / 2
          if (
            !(error instanceof AppError) ||
            error.code !== 'needs_reconnect' ||
            previous === null ||
            !isPreviousUsable ||
            !(await isCurrent())
          ) {
            throw error
          }
          log.warn(
            { event: 'refresh_fallback_previous_token', grant_id: grant.id },
            'Atlassian rejected the newest refresh token; trying the previous one.'
          )
          return await exchangeWithRetry(previous)
        }))
      }
    } catch (error) {
      return { isAmbiguous, error }
    }
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
    await grants.refreshBy(id, new Date(now() + CONFIRMATION_DELAY_MS))
  }

  /** @returns a token if the caller can be served despite the failure; undefined: read again */
  async function recordFailure(
    grant: Grant,
    attempt: RefreshAttempt,
    error: unknown,
    ambiguousSince: number | null,
    usableToken: string | undefined,
    startedAt: number,
    log: Logger
  ): Promise<string | undefined> {
    const failure =
      error instanceof AppError
        ? error
        : new AppError('internal_error', 'Internal Server Error', { cause: error })
    const { to, isAmbiguous } = classifyFailure(failure)
    const reason = { code: failure.code, detail: failure.message }
    const isFinal = to === 'needs_reconnect'
    const nextAttempt = planNextAttempt(
      grant,
      computeBackoffMs(grant.failures + 1, failure.details.retryAfterS, Math.random()),
      ambiguousSince ?? (isAmbiguous ? startedAt : null),
      now()
    )
    const { done, changes } = await grants.saveFailure(attempt, {
      to,
      reason,
      set: isFinal ? { failures: 0, nextTryAt: null, attemptAt: null, dueAt: null } : nextAttempt
    })
    if (!done) return undefined
    logStateChanges(changes, log)
    if (to === 'misconfigured') {
      logStateChanges(
        await grants.markClientMisconfigured(
          grant.clientId,
          reason,
          nextAttempt.nextTryAt,
          grant.id
        ),
        log
      )
    }
    log.warn(
      {
        event: 'grant_refresh_error',
        grant_id: grant.id,
        error_code: failure.code,
        next_try_at: isFinal ? null : nextAttempt.nextTryAt,
        err: error
      },
      failure.message
    )
    if (isFinal) throw failure
    if (usableToken !== undefined) return usableToken
    throw new AppError(failure.code, failure.message, {
      cause: error,
      retryAfterS: Math.ceil((nextAttempt.nextTryAt.getTime() - now()) / 1000)
    })
  }

  /** Records that a grant without a refresh token has ended, like any other failure. */
  async function recordMissingRefreshToken(
    grant: Grant,
    error: AppError,
    log: Logger
  ): Promise<AppError> {
    if (grant.refreshToken === null) {
      logStateChanges(
        (
          await grants.changeState(grant.id, grant.version, 'needs_reconnect', {
            code: error.code,
            detail: noOfflineAccessError().message
          })
        ).changes,
        log
      )
    }
    return error
  }

  return {
    refreshGrant,

    /** Resolves when no exchange is in flight: every started one has been saved. */
    async drain(): Promise<void> {
      while (inFlight.size > 0) await Promise.allSettled(inFlight)
    }
  }
}
