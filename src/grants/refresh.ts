import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { AppError } from '../lib/errors.ts'
import type { Http, Log } from '../lib/http-client.ts'
import { CLIENT_GONE } from '../oauth/clients.ts'
import { refreshTokens, type ClientCredentials, type TokenSet } from '../oauth/tokens.ts'
import { retryUntil } from '../lib/retry.ts'
import type { Attempt, Fresh, Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'
import type { Vault } from '../vault/vault.ts'
import { announce } from './log-state-change.ts'
import { aftermath, backoffMs, judge, LOST } from './refresh-policy.ts'
import { watch } from './stale-lease.ts'
import { noOfflineAccess, outlook, type Need } from './token-decision.ts'
import { openReadable } from './decrypt.ts'
import { openAccess, openAll, sealAll, type Secrets } from './encrypt.ts'

/** Old tokens work this long after an exchange (atlassian.md section 3.1). */
const LEEWAY_MS = 10 * 60_000
/**
 * When two exchanges of one refresh token may have overlapped, nobody knows which pair survives the leeway (atlassian.md
 * section 3.1). One more exchange of the stored one, when the other must have ended and well inside the leeway, settles it.
 */
const SETTLE_AFTER_MS = 2 * 60_000
const DAY_MS = 86_400_000
/** A refresh token dies after 90 idle days (atlassian.md section 3.1); grants of one day are kept alive on different ones. */
const [KEEP_ALIVE_FROM_MS, KEEP_ALIVE_SPREAD_MS] = [60 * DAY_MS, 15 * DAY_MS]
/** Exchanges under way at once in one process: many grants that expire together are no reason to knock Atlassian over. */
const MOST_AT_ONCE = 8
/** How often somebody who waits for another process looks again. */
const LOOK_AGAIN_MS = 30

export interface RefreshSettings {
  store: Store
  vault: Vault
  http: Http
  now: () => number
  /** The configured client with this id; undefined once an operator has replaced it. */
  clientById: (clientId: string) => ClientCredentials | undefined
  /** Milliseconds one exchange may take, everything included. */
  exchangeMs: number
  /** Milliseconds after which somebody else may do what was begun: longer than two exchanges. */
  leaseMs: number
  /** Told when a refresh has shown other scopes than the stored ones. */
  onScopes: (grantId: string, log: Log) => Promise<void>
}

/** How an exchange ended; `lost` where one of its answers was, so that Atlassian may have rotated more than once. */
type Exchanged = { lost: boolean } & ({ tokens: TokenSet; used: string } | { error: unknown })

/** When upkeep refreshes a pair that nobody uses. */
export function keepAliveAt(now: number): Date {
  return new Date(now + KEEP_ALIVE_FROM_MS + Math.random() * KEEP_ALIVE_SPREAD_MS)
}

/**
 * Replaces token pairs: one exchange at a time for each grant, whatever number of callers, processes and crashes.
 *
 * The order is the point. A lease is taken in the database, and with it the attempt is noted; Atlassian is asked with a
 * deadline shorter than the lease; the new pair is saved only where the lease and the replaced version are still the
 * same, and used only after that. Whoever dies in between leaves a note, and the next one repeats the exchange with the
 * old token while it still works.
 *
 * @returns `renew`, which resolves to a token for `need`; it throws AppError `needs_reconnect`, `oauth_misconfigured`, or an
 * `upstream_…` code with the time of the next try
 */
export function createRefresh(settings: RefreshSettings) {
  const {
    store: { grants },
    vault,
    now,
    exchangeMs,
    leaseMs
  } = settings
  const slots = pLimit(MOST_AT_ONCE)
  const underWay = new Set<Promise<unknown>>()

  async function renew(id: string, need: Need, log: Log): Promise<string> {
    const giveUpAt = performance.now() + leaseMs + 2 * exchangeMs + LOOK_AGAIN_MS
    const seen = watch(leaseMs)
    while (true) {
      const grant = await grants.get(id)
      if (grant === undefined) throw new AppError('not_connected', 'This connection is gone.')
      const view = outlook(grant, await openReadable(settings, grant, log, openAccess), need, now())
      if (view.kind === 'use') return view.token
      if (view.kind === 'refuse') throw await refused(grant, view.error, log)
      const holder = await grants.refresher(id)
      const stale = seen(holder)
      if (holder === undefined || holder.over || stale) {
        const token = await exclusively(() =>
          attempt(grant, view.token, stale ? holder?.owner : undefined, log)
        )
        if (token !== undefined) return token
      } else {
        // Somebody else is at it; nobody has to wait whose token still works.
        if (view.token !== undefined) return view.token
        if (performance.now() > giveUpAt) {
          throw new AppError(
            'unavailable',
            'The tokens of this connection are being refreshed elsewhere. Try again in a moment.',
            { retryAfterS: 1 }
          )
        }
        await sleep(LOOK_AGAIN_MS * (0.5 + Math.random()))
      }
    }
  }

  /** So many at once, and nobody stops in the middle of one. */
  async function exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = slots(work)
    underWay.add(done)
    return await done.finally(() => {
      underWay.delete(done)
    })
  }

  /** @returns undefined where somebody else got ahead: look again */
  async function attempt(
    grant: Grant,
    working: string | undefined,
    stale: string | undefined,
    log: Log
  ): Promise<string | undefined> {
    const mine: Attempt = { id: grant.id, version: grant.version, owner: randomUUID() }
    const client = settings.clientById(grant.clientId)
    if (client === undefined) throw new AppError('needs_reconnect', CLIENT_GONE.detail)
    const secrets = await openReadable(settings, grant, log, openAll)
    vault.requireWriting()
    const endsAt = performance.now() + leaseMs - exchangeMs / 2
    if (
      !(await grants.beginRefresh(mine, grant.failures, leaseMs, new Date(now() + leaseMs), stale))
    ) {
      return undefined
    }
    log.info({
      event: 'grant_refresh_start',
      grant_id: grant.id,
      repeated: grant.attemptAt !== null
    })
    const startedAt = now()
    const { lost, ...outcome } = await exchange(grant, client, secrets, endsAt, log)
    const begunAt = grant.attemptAt?.getTime() ?? (lost ? startedAt : null)
    if ('error' in outcome) {
      return await failed(grant, mine, outcome.error, begunAt, working, startedAt, log)
    }
    // What fails from here on is no failure of Atlassian's: the note stays, and the exchange is repeated.
    return await keep(grant, mine, outcome, startedAt, begunAt !== null, endsAt, log)
  }

  /**
   * An answer that was lost is asked for again at once; a pair that is refused gives way to the one before it, while that lives.
   * Nothing is asked that the lease would not outlast.
   */
  async function exchange(
    grant: Grant,
    client: ClientCredentials,
    { refresh, previous }: Secrets,
    endsAt: number,
    log: Log
  ): Promise<Exchanged> {
    let lost = false
    // Whoever has left meanwhile, or was refreshed or consented anew elsewhere, is not asked for again.
    const isWanted = async () => (await grants.get(grant.id))?.version === grant.version
    const ask = async (used: string) => {
      const tokens = await refreshTokens(
        settings.http,
        client,
        used,
        log,
        Math.max(1, Math.floor(Math.min(exchangeMs, endsAt - performance.now())))
      )
      return { tokens, used }
    }
    const twice = async (token: string) =>
      await ask(token).catch(async (error: unknown) => {
        if (!(error instanceof AppError) || !LOST.has(error.code)) throw error
        lost = true
        if (!(await isWanted()) || endsAt - performance.now() < exchangeMs / 2) throw error
        return await ask(token)
      })
    try {
      return {
        lost,
        ...(await twice(refresh ?? '').catch(async (error: unknown) => {
          const stillLives =
            grant.previousUntil !== null &&
            grant.previousUntil.getTime() > now() &&
            endsAt - performance.now() > exchangeMs / 2
          if (
            !(error instanceof AppError) ||
            error.code !== 'needs_reconnect' ||
            previous === null ||
            !stillLives ||
            !(await isWanted())
          ) {
            throw error
          }
          log.warn(
            { event: 'refresh_fallback_previous_token', grant_id: grant.id },
            'The newest refresh token was refused; the one before it is tried.'
          )
          return await twice(previous)
        }))
      }
    } catch (error) {
      return { lost, error }
    }
  }

  /** The refresh token that was exchanged works a little longer, and is kept as long. */
  async function keep(
    grant: Grant,
    mine: Attempt,
    { tokens, used }: { tokens: TokenSet; used: string },
    startedAt: number,
    unsettled: boolean,
    endsAt: number,
    log: Log
  ): Promise<string | undefined> {
    const rotated = tokens.refreshToken !== null
    const scopes = tokens.scopes?.join(' ') ?? grant.scopes
    const fresh: Fresh = {
      ...sealAll(vault, grant.id, {
        access: tokens.accessToken,
        refresh: tokens.refreshToken ?? used,
        previous: rotated ? used : null
      }),
      previousUntil: rotated ? new Date(startedAt + LEEWAY_MS) : null,
      accessExpiresAt: new Date(startedAt + tokens.expiresInS * 1000),
      rotatedAt: new Date(now()),
      dueAt: unsettled ? new Date(now() + SETTLE_AFTER_MS) : keepAliveAt(now()),
      scopes
    }
    // A pair that was rotated and is not saved is lost when the old one dies: it is tried as long as the lease lasts.
    const { done, changes } = await retryUntil(
      async () => await grants.save(mine, fresh),
      endsAt,
      LOOK_AGAIN_MS
    )
    if (!done) return await superseded(grant, log)
    log.info({ event: 'grant_refreshed', grant_id: grant.id })
    announce(changes, log)
    if (grant.state === 'misconfigured') announce(await grants.configured(grant.clientId), log)
    if (scopes !== grant.scopes) await settings.onScopes(grant.id, log)
    return tokens.accessToken
  }

  /** Too late: somebody else's pair is stored, and stays. */
  async function superseded({ id }: Grant, log: Log): Promise<undefined> {
    log.warn(
      { event: 'grant_refresh_superseded', grant_id: id },
      'The refresh took longer than its lease; the newer tokens stay.'
    )
    await grants.hasten(id, new Date(now() + SETTLE_AFTER_MS))
  }

  /** @returns a token where somebody is served in spite of the failure, or undefined: look again */
  async function failed(
    grant: Grant,
    mine: Attempt,
    error: unknown,
    begunAt: number | null,
    working: string | undefined,
    startedAt: number,
    log: Log
  ): Promise<string | undefined> {
    const failure =
      error instanceof AppError
        ? error
        : new AppError('internal_error', 'Internal Server Error', { cause: error })
    const { to, unknown } = judge(failure)
    const reason = { code: failure.code, detail: failure.message }
    const isFinal = to === 'needs_reconnect'
    const next = aftermath(
      grant,
      backoffMs(grant.failures + 1, failure.extras.retryAfterS, Math.random()),
      begunAt ?? (unknown ? startedAt : null),
      now()
    )
    const { done, changes } = await grants.fail(mine, {
      to,
      reason,
      set: isFinal ? { failures: 0, nextTryAt: null, attemptAt: null, dueAt: null } : next
    })
    if (!done) return undefined
    announce(changes, log)
    if (to === 'misconfigured') {
      announce(await grants.misconfigured(grant.clientId, reason, next.nextTryAt, grant.id), log)
    }
    log.warn(
      {
        event: 'grant_refresh_error',
        grant_id: grant.id,
        error_code: failure.code,
        next_try_at: isFinal ? null : next.nextTryAt,
        err: error
      },
      failure.message
    )
    if (isFinal) throw failure
    if (working !== undefined) return working
    throw new AppError(failure.code, failure.message, {
      cause: error,
      retryAfterS: Math.ceil((next.nextTryAt.getTime() - now()) / 1000)
    })
  }

  /** The end that a grant without a refresh token comes to is remembered like any other. */
  async function refused(grant: Grant, error: AppError, log: Log): Promise<AppError> {
    if (grant.refreshToken === null) {
      announce(
        (
          await grants.change(grant.id, grant.version, 'needs_reconnect', {
            code: error.code,
            detail: noOfflineAccess().message
          })
        ).changes,
        log
      )
    }
    return error
  }

  return {
    renew,

    /** Resolves when no exchange is under way: what was begun is saved. */
    async settled(): Promise<void> {
      while (underWay.size > 0) await Promise.allSettled(underWay)
    }
  }
}
