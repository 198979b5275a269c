import { confluence } from './confluence/confluence.ts'
import { jira } from './jira/jira.ts'
import type { Provider } from './provider.ts'

/** The products that this service connects. The first one is the default of `createRegistry`. */
export const builtInProviders: readonly [Provider, ...Provider[]] = [jira, confluence]

/** The tables of their collections, which `npm run db:generate` makes migrations of. */
export const itemTableShapes = builtInProviders.flatMap(({ collections }) =>
  collections.map(({ table }) => table)
)

/** The product that schemas and documents use in examples. */
export const exampleProvider: Provider = jira
