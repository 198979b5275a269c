import { AppError } from '../lib/errors.ts'
import type { HttpClient, Logger } from '../lib/http-client.ts'
import { refreshTokens, type ClientCredentials, type TokenSet } from '../oauth/tokens.ts'
import type { Store } from '../store/index.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { PlainTokens } from './encrypt.ts'
import { AMBIGUOUS_ERRORS } from './refresh-policy.ts'

export interface ExchangeSettings {
  store: Store
  http: HttpClient
  now: () => number
  /** Time-out of one exchange in ms, including connecting and reading. */
  exchangeTimeoutMs: number
}

/**
 * The result of an exchange. `isAmbiguous`: one of its answers was lost, so Atlassian may have
 * rotated more than once.
 */
type TokenExchange = { isAmbiguous: boolean } & (
  { tokens: TokenSet; usedRefreshToken: string } | { error: unknown }
)

/**
 * Exchanges the refresh token of a grant for a new pair. Repeats the exchange without a delay if
 * its answer was lost. If Atlassian rejects the token, tries the previous one while that works.
 *
 * @param deadline when the lease ends, by `performance.now()`; no exchange runs longer
 */
export async function exchangeTokens(
  { store: { grants }, http, now, exchangeTimeoutMs }: ExchangeSettings,
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
      http,
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
