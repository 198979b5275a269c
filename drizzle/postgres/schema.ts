import { defineTables } from '../tables.ts'
import { columns } from './columns.ts'

export const {
  users,
  flows,
  grants,
  leases,
  vaultKeys,
  connections,
  history,
  runs,
  checkpoints,
  budgets,
  feeds,
  apiKeys,
  identities,
  sessions,
  audit,
  auditHead,
  rates,
  projects,
  issues,
  spaces,
  pages
} = defineTables(columns)
