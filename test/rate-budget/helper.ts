import type { HttpResponse } from '../../src/lib/http-client.ts'
import type { CallTarget } from '../../src/rate-budget/target.ts'
import { openEngine } from '../../src/store/open-engine.ts'
import {
  createRateBudgetRepository,
  type RateBudgetRepository
} from '../../src/store/repositories/rate-budgets.ts'

const engine = await openEngine('sqlite::memory:')

/** A repository in which no instance has published anything. */
export function createEmptyBudgets(): RateBudgetRepository {
  engine.db.delete(engine.tables.budgets).run()
  return createRateBudgetRepository(engine)
}

export const CALL_TARGET: CallTarget = {
  app: 'app',
  site: 'acme',
  endpoint: 'GET jira/search',
  account: 'dana'
}
export const INTERACTIVE = { isInteractive: true }
export const BACKGROUND = { isInteractive: false }

export const createResponse = (
  status: number,
  headers: Record<string, string> = {},
  body: unknown = {}
): HttpResponse => ({
  status,
  headers,
  body,
  retryAfterMs: undefined
})
