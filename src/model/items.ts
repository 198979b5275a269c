import type { Tables } from '../../drizzle/tables.ts'

/** The copied kinds of things, by the name of their table. */
export const COLLECTIONS = ['projects', 'issues', 'spaces', 'pages'] as const
export type CollectionName = (typeof COLLECTIONS)[number]

export type ItemTable = Tables[CollectionName]

/** Columns that are about the row and not about the item. */
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
] as const
/** Long texts that lists leave out unless they are asked for. */
export const BODY_COLUMNS: readonly string[] = ['body', 'bodyText']
type SyncColumn = (typeof SYNC_COLUMNS)[number]

/** One item as a product or a caller describes it. */
export type ItemFields<T extends ItemTable> = Omit<T['$inferInsert'], SyncColumn>
export interface ItemsByCollection {
  projects: ItemFields<Tables['projects']>
  issues: ItemFields<Tables['issues']>
  spaces: ItemFields<Tables['spaces']>
  pages: ItemFields<Tables['pages']>
}

/** One item with its name at Atlassian. */
export interface RemoteItem<Item> {
  remoteId: string
  item: Item
}

/** One item as lists have it: its contents, whose it is, and when the copy changed. */
export type ListedItem<T extends ItemTable> = Pick<
  T['$inferSelect'],
  'id' | 'ownerId' | 'updatedAt'
> &
  ItemFields<T>

/** How one page of upstream items changed the table. */
export interface ChangeCounts {
  added: number
  changed: number
  unchanged: number
}

/** Where a list goes on: the sort value and the id of the last row that was served. */
export type ListPosition = [sortValue: string, id: number]

/** What narrows a list. */
export interface ItemFilter {
  /** The key of a project or of a space. */
  parentKey?: string | undefined
  /** Changed at or after: at Atlassian, or here where Atlassian does not say. Milliseconds since the epoch. */
  updatedSince?: number | undefined
  /** A part of title, name or key, in any case of ASCII letters. */
  text?: string | undefined
}
