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
