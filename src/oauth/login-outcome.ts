import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, type ErrorCode } from '../lib/errors.ts'
import { isSameHash } from '../lib/secret.ts'
import type { Store } from '../store/index.ts'

/** How often a repeated callback polls for the first one's outcome. */
const OUTCOME_POLL_INTERVAL_MS = 50

export interface OutcomeSettings {
  store: Store
  now: () => number
  /** Time-out of one exchange in ms, including connecting and reading. */
  exchangeTimeoutMs: number
}

/** `isFirst` is true for the one request that performed the exchange. */
export type LoginOutcome = { userId: number; isFirst: boolean } | { error: AppError }
export type StoredOutcome =
  /** `newSites`: cloud ids that the consent added to those of an earlier one. */
  { userId: number; newSites?: string[] } | { code: ErrorCode; detail: string }

/** Waits for the outcome of the request that claimed the flow, in this process or another. */
export async function waitForOutcome(
  { store, now, exchangeTimeoutMs }: OutcomeSettings,
  stateHash: string,
  codeHash: string
): Promise<LoginOutcome> {
  while (true) {
    const flow = await store.loginFlows.get(stateHash)
    if (flow === undefined || flow.codeHash === null) break
    if (!isSameHash(flow.codeHash, codeHash)) {
      throw new AppError(
        'replayed_state',
        'This login was already completed with another code. Start it again.'
      )
    }
    if (flow.outcome !== null) return parseOutcome(JSON.parse(flow.outcome) as StoredOutcome)
    // A claim older than the exchange time-out has been abandoned.
    if (now() - (flow.claimedAt?.getTime() ?? 0) > exchangeTimeoutMs) break
    await sleep(OUTCOME_POLL_INTERVAL_MS)
  }
  throw new AppError('callback_interrupted', 'The login was interrupted. Start it again.')
}

export function toFailure(error: unknown): { error: AppError } {
  return {
    error:
      error instanceof AppError
        ? error
        : new AppError('internal_error', 'Internal Server Error', { cause: error })
  }
}

export function serializeFailure({ code, message }: AppError): StoredOutcome {
  return { code, detail: message }
}

function parseOutcome(outcome: StoredOutcome): LoginOutcome {
  return 'userId' in outcome
    ? { userId: outcome.userId, isFirst: false }
    : { error: new AppError(outcome.code, outcome.detail) }
}
