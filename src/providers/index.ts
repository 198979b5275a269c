import { confluence } from './confluence/confluence.ts'
import { jira } from './jira/jira.ts'
import type { Provider } from './provider.ts'

/** The products that this service connects. The first one is the default of `createRegistry`. */
export const builtInProviders: readonly [Provider, ...Provider[]] = [jira, confluence]

/** The tables of their collections, from which `npm run db:generate` makes migrations. */
export const itemTableShapes = builtInProviders.flatMap(({ collections }) =>
  collections.map(({ table }) => table)
)

/** The product in the examples of schemas and documents. */
export const exampleProvider: Provider = jira
