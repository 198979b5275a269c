import { sql } from 'drizzle-orm'
import type { ColumnKit, UserIdReference } from './sqlite/columns.ts'

/** One column of an item table, in the words of the column kit. */
export interface ItemColumn {
  kind: 'text' | 'ordered' | 'instant' | 'integer'
  isNullable?: true
  /** Set for texts of many kilobytes: lists leave them out unless the caller asks for them. */
  isLong?: true
}

/** The table of one collection as data. Column names are camel case here and snake case in SQL. */
export interface ItemTableShape {
  name: string
  columns: Readonly<Record<string, ItemColumn>>
  /** The `ordered` column that lists are sorted by, before the id. */
  sortBy: string
  /** The column that holds the item's parent, and the query parameter that filters a list by it. */
  filterBy: { column: string; parameter: string }
  /** The columns that the query parameter `q` searches. */
  searchBy: readonly string[]
}

/** Columns that every item table has, whatever its collection. */
function createCommonColumns({ id, integer, text, instant }: ColumnKit, owner: UserIdReference) {
  return {
    id: id(),
    ownerId: integer('owner_id').notNull().references(owner, { onDelete: 'cascade' }),
    /** A cloudId; empty for a row that a caller posted. */
    site: text('site').notNull(),
    remoteId: text('remote_id').notNull(),
    url: text('url'),
    /** 1 for a new row, incremented by each write. */
    revision: integer('revision').notNull(),
    updatedAt: instant('updated_at').notNull(),
    /** When Atlassian last changed it; null where Atlassian does not say. */
    remoteUpdatedAt: instant('remote_updated_at'),
    /** The number of its latest change in the owner's change feed. */
    seq: integer('seq').notNull().default(0),
    /** The latest full listing that contained it (`checkpoints.pass`). */
    generation: integer('pass').notNull().default(0),
    /** Set on a tombstone: its contents are erased, the row stays for the change feed. */
    deletedAt: instant('deleted_at')
  }
}

/** Names of the columns that describe the row and not the item. */
export const SYNC_COLUMNS = [
  'id',
  'ownerId',
  'site',
  'remoteId',
  'revision',
  'updatedAt',
  'seq',
  'generation',
  'deletedAt'
] as const satisfies ReadonlyArray<keyof ReturnType<typeof createCommonColumns>>

/**
 * Makes the table of a collection, with the indexes that every collection has.
 *
 * @param owner the column that identifies the user who owns the items
 */
export function defineItemTable(kit: ColumnKit, owner: UserIdReference, shape: ItemTableShape) {
  const { table, unique, index } = kit
  const { name, columns, sortBy, filterBy } = shape
  const contentColumns = Object.fromEntries(
    Object.entries(columns).map(([key, column]) => [key, createContentColumn(kit, key, column)])
  )
  return table(
    name,
    // The type has the columns of every item table; repositories read the others by name.
    { ...createCommonColumns(kit, owner), ...(contentColumns as object) },
    (t) => {
      const columnOf = (key: string) => t[key as 'site']
      return [
        unique(`${name}_remote`).on(t.ownerId, t.site, t.remoteId),
        index(`${name}_by_${toSnakeCase(sortBy)}`).on(t.ownerId, columnOf(sortBy), t.id),
        ...(filterBy.column === sortBy
          ? []
          : [
              index(`${name}_by_${filterBy.parameter}`).on(
                t.ownerId,
                columnOf(filterBy.column),
                columnOf(sortBy),
                t.id
              )
            ]),
        index(`${name}_changes`).on(t.ownerId, t.seq),
        index(`${name}_deleted`)
          .on(t.deletedAt)
          .where(sql`${t.deletedAt} is not null`)
      ]
    }
  )
}

export type ItemTable = ReturnType<typeof defineItemTable>

function createContentColumn(kit: ColumnKit, key: string, { kind, isNullable }: ItemColumn) {
  const column = kit[kind](toSnakeCase(key))
  return isNullable === true ? column : column.notNull()
}

function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
