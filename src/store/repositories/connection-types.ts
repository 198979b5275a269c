import type { Site } from '../../model/site.ts'
import type { ConnectionState, LocalState } from '../../model/states.ts'
import type { StateReason } from './connection-history.ts'
import type { Grant } from './grants.ts'

/** One user's use of one product through a grant. */
export interface Connection {
  id: number
  userId: number
  provider: string
  grantId: string
  /** Whether owner, grant, sites and state are as the service signed them; if not, it is not used. */
  isAuthentic: boolean
  /** The sites the grant reached when Atlassian was last asked. */
  sites: Site[]
  /** The sites that are synced. */
  selectedSites: Site[]
  state: LocalState
  errorCode: string | null
  errorDetail: string | null
  /** Features the gateway has refused for lack of a scope. */
  refusedFeatures: string[]
  /** Incremented with each write (optimistic locking). */
  version: number
  connectedAt: Date
  options: ConnectionOptions
  /** When the scheduler syncs it next; null: never. */
  syncDueAt: Date | null
  /** Measured points of its latest runs; null until measured. */
  routinePoints: number | null
  listingPoints: number | null
  fullPoints: number | null
}

/** The options an owner has set, by name (`Provider.options`). */
export type ConnectionOptions = Record<string, boolean | undefined>

/** A connection with its grant, read at one moment. */
export interface ConnectionWithGrant {
  connection: Connection
  grant: Grant
  state: ConnectionState
}

/** What may change on a connection between two consents. */
export type ConnectionUpdate = Pick<
  Connection,
  'sites' | 'selectedSites' | 'refusedFeatures' | 'state'
> & {
  reason: StateReason | null
}
