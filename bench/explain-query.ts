import type { Store } from '../src/store/index.ts'
import { NOW_MS } from './explain-fill.ts'

/** A frequent call of the service to its store. */
export interface HotQuery {
  name: string
  execute: (store: Store) => Promise<unknown>
}

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
export const SITE_ID = '8f0c1d3e-0000-4000-8000-000000000001'
export const SMALL_OWNER_ID = 5_000
export const now = new Date(NOW_MS)
