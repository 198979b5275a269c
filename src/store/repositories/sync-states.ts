import { and, eq, exists, sql } from 'drizzle-orm'
import type { Site } from '../../model/site.ts'
import type { Engine } from '../engine.ts'
import { getActiveRunKey } from './sync-runs.ts'

/** How far the copy of a collection is, from one site. */
export interface SiteCopy {
  /** Whether a listing was ever started. */
  isStarted: boolean
  /** Whether a listing was complete. */
  isComplete: boolean
  hasFailedItems: boolean
  hasHeldDeletions: boolean
  /** When the latest complete listing or incremental read began. */
  readAt: Date | null
}

/** How far the copy of a collection is. */
export interface CollectionCopy {
  /** Whether a run of the product is queued, running or parked. */
  isRunActive: boolean
  /** One entry for each selected site. */
  sites: SiteCopy[]
}

const UNSTARTED: SiteCopy = {
  isStarted: false,
  isComplete: false,
  hasFailedItems: false,
  hasHeldDeletions: false,
  readAt: null
}

/** Reads how far the copies are, for lists. */
export function createSyncStateRepository({
  db,
  tables: { checkpoints: c, connections, runs },
  prepare
}: Engine) {
  const placeholder = (name: string) => sql.placeholder(name) as never
  const flag = (condition: unknown) => sql`case when ${condition} then 1 else 0 end`
  const selectCopies = prepare(
    db
      .select({
        selectedSites: connections.selectedSites,
        isRunActive: flag(
          exists(
            db
              .select({ id: runs.id })
              .from(runs)
              .where(eq(runs.activeKey, placeholder('activeKey')))
          )
        ).as('is_run_active'),
        site: c.site,
        generation: c.generation,
        completeAt: c.completeAt,
        readAt: c.readAt,
        hasFailedItems: flag(sql`${c.retry} <> '[]'`).as('has_failed_items'),
        hasHeldDeletions: flag(sql`${c.heldAt} is not null`).as('has_held_deletions')
      })
      .from(connections)
      .leftJoin(
        c,
        and(
          eq(c.ownerId, connections.userId),
          eq(c.provider, connections.provider),
          eq(c.collection, placeholder('collection'))
        )
      )
      .where(
        and(
          eq(connections.userId, placeholder('owner')),
          eq(connections.provider, placeholder('provider'))
        )
      )
  )

  return {
    /** @returns undefined where the product is not connected */
    async get(
      ownerId: number,
      provider: string,
      collection: string
    ): Promise<CollectionCopy | undefined> {
      const rows = await selectCopies({
        owner: ownerId,
        provider,
        collection,
        activeKey: getActiveRunKey(ownerId, provider)
      })
      const [first] = rows
      if (first === undefined) return undefined
      const copies = new Map(
        rows.map((row): [string, SiteCopy] => [
          String(row.site),
          {
            isStarted: Number(row[c.generation.name]) > 0,
            isComplete: row[c.completeAt.name] !== null,
            hasFailedItems: row.has_failed_items === 1,
            hasHeldDeletions: row.has_held_deletions === 1,
            readAt: toDate(row[c.readAt.name] ?? row[c.completeAt.name])
          }
        ])
      )
      const sites = JSON.parse(String(first[connections.selectedSites.name])) as Site[]
      return {
        isRunActive: first.is_run_active === 1,
        sites: sites.map(({ cloudId }) => copies.get(cloudId) ?? UNSTARTED)
      }
    }
  }
}

function toDate(value: string | number | null | undefined): Date | null {
  return value === null || value === undefined ? null : new Date(value)
}
