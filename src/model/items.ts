import type { ItemColumn, ItemTableShape } from '../../drizzle/items.ts'

export type { ItemTableShape }

/** A row as the driver returns it, by column name. */
export type RawRow = Record<string, string | number | null>

/** What every item has, whatever its collection. */
// A type and not an interface, so that items of one shape are assignable to `AnyItem`.
type CommonFields = {
  url?: string | null
  /** When Atlassian last changed it; null where Atlassian does not say. */
  remoteUpdatedAt?: Date | null
}

/** An item of a collection that is known only at run time. */
type AnyItem = CommonFields & Record<string, string | number | Date | null | undefined>

type ColumnValue<Column extends ItemColumn> = Column['kind'] extends 'instant'
  ? Date
  : Column['kind'] extends 'integer'
    ? number
    : string
type NullableName<Columns extends Record<string, ItemColumn>> = {
  [Name in keyof Columns]: Columns[Name] extends { isNullable: true } ? Name : never
}[keyof Columns]

/** One item as a product or a caller describes it: the columns of its table that describe the item. */
export type Item<Shape extends ItemTableShape = ItemTableShape> =
  string extends keyof Shape['columns']
    ? AnyItem
    : CommonFields & {
        [Name in Exclude<keyof Shape['columns'], NullableName<Shape['columns']>>]: ColumnValue<
          Shape['columns'][Name]
        >
      } & {
        [Name in NullableName<Shape['columns']>]?: ColumnValue<Shape['columns'][Name]> | null
      }

/** One item with its id at Atlassian. */
export interface RemoteItem<Contents = Item> {
  remoteId: string
  item: Contents
}

/** One item as lists serve it: its contents, its owner, and when the copy changed. */
export type ListedItem<Contents = Item> = Contents & {
  id: number
  ownerId: number
  /** The cloudId of its site; empty for an item that a caller posted. */
  site: string
  updatedAt: Date
}

/** How one page of upstream items changed the table. */
export interface ChangeCounts {
  added: number
  changed: number
  unchanged: number
  /** Those that this listing had not returned before. */
  newlyListed: number
}

/** Where a list continues: the sort value and the id of the last row that was served. */
export type ListPosition = [sortValue: string, id: number]

/** Conditions that narrow a list. */
export interface ItemFilter {
  /** The key of the parent: a project or a space. */
  parentKey?: string | undefined
  /**
   * Changed at or after this time (milliseconds since the epoch) at Atlassian, or here where
   * Atlassian does not say.
   */
  updatedSince?: number | undefined
  /** Part of a searched column; ASCII letters match in either case. */
  text?: string | undefined
}

/**
 * How many of the rows fit into so many bytes: at least one, if there are any.
 *
 * @param sizes the bytes of each row
 */
export function countFitting(sizes: readonly number[], maxBytes: number): number {
  let [count, bytes] = [0, 0]
  for (const size of sizes) {
    bytes += size
    if (count > 0 && bytes > maxBytes) break
    count++
  }
  return count
}
