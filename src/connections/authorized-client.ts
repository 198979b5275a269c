import type { TokenProvider } from '../grants/access-token.ts'
import { AppError } from '../lib/errors.ts'
import type { HttpClient, Logger } from '../lib/http-client.ts'
import {
  createAuthorizedRequest,
  type AuthorizedRequest,
  type Throttle
} from '../providers/atlassian.ts'
import type { RateBudget } from '../rate-budget/rate-budget.ts'
import { toCallTarget } from '../rate-budget/target.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'

export interface AuthorizedClientSettings {
  store: Store
  http: HttpClient
  now: () => number
  tokenProvider: TokenProvider
  budget: RateBudget
}

/**
 * Creates a client that calls Atlassian with a grant's token, within the app's rate budget. Calls
 * have interactive priority unless `throttle` decides otherwise.
 *
 * @param grant of a connection as the store returns it
 * @throws AppError `connection_altered` if the row of its connection is not authentic
 */
export function createAuthorizedClient(
  { store, http, now, tokenProvider, budget }: AuthorizedClientSettings,
  grant: Grant,
  log: Logger,
  { signal, throttle }: { signal?: AbortSignal; throttle?: Throttle } = {}
): AuthorizedRequest {
  if (grant.errorCode === 'connection_altered') {
    const message = grant.errorDetail ?? ''
    log.error({ event: 'connection_altered', grant_id: grant.id }, message)
    throw new AppError('connection_altered', message)
  }
  return createAuthorizedRequest({
    http,
    log,
    tokens: {
      get: async (rejectedToken) =>
        await tokenProvider.getAccessToken(grant.id, { log, rejectedToken }),
      getLatest: async () => {
        tokenProvider.invalidate(grant.id)
        return await tokenProvider.getAccessToken(grant.id, { log })
      },
      isExpired: async () =>
        ((await store.grants.get(grant.id))?.accessExpiresAt.getTime() ?? Infinity) <= now()
    },
    throttle:
      throttle ??
      (async (method, url, send) =>
        await budget.call(
          toCallTarget(grant.clientId, method, url, grant.id),
          { isInteractive: true, signal },
          send
        )),
    ...(signal === undefined ? {} : { signal })
  })
}
