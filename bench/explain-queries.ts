import { itemQueries } from './explain-item-queries.ts'
import type { HotQuery } from './explain-query.ts'
import { copyQueries, runQueries } from './explain-sync-queries.ts'
import { tokenQueries, userQueries } from './explain-user-queries.ts'

/** Every frequent call, in the order in which they run. */
export const hotQueries: HotQuery[] = [
  ...itemQueries,
  ...copyQueries,
  ...runQueries,
  ...userQueries,
  ...tokenQueries
]
