import type { Tables } from '../../drizzle/tables.ts'

/** The copied kinds of things, by the name of their table. */
export const COLLECTIONS = ['projects', 'issues', 'spaces', 'pages'] as const
export type CollectionName = (typeof COLLECTIONS)[number]

export type ItemTable = Tables[CollectionName]

/** Columns that are about the row and not about the item. */
export const BOOKKEEPING = [
  'id',
  'ownerId',
  'site',
  'remoteId',
  'revision',
  'updatedAt',
  'seq',
  'pass',
  'deletedAt'
] as const
/** Long texts that lists leave out unless they are asked for. */
export const LONG: readonly string[] = ['body', 'bodyText']
type Bookkeeping = (typeof BOOKKEEPING)[number]

/** One item as a product or a caller describes it. */
export type ItemOf<T extends ItemTable> = Omit<T['$inferInsert'], Bookkeeping>
export interface Items {
  projects: ItemOf<Tables['projects']>
  issues: ItemOf<Tables['issues']>
  spaces: ItemOf<Tables['spaces']>
  pages: ItemOf<Tables['pages']>
}

/** One item with its name at Atlassian. */
export interface Remote<Item> {
  remoteId: string
  item: Item
}

/** One item as lists have it: its contents, whose it is, and when the copy changed. */
export type Listed<T extends ItemTable> = Pick<T['$inferSelect'], 'id' | 'ownerId' | 'updatedAt'> &
  ItemOf<T>

/** How one page of upstream items changed the table. */
export interface Changes {
  added: number
  changed: number
  unchanged: number
}

/** Where a list goes on: the sort value and the id of the last row that was served. */
export type Position = [sortValue: string, id: number]

/** What narrows a list. */
export interface Filter {
  /** The key of a project or of a space. */
  within?: string | undefined
  /** Changed at or after: at Atlassian, or here where Atlassian does not say. Milliseconds since the epoch. */
  since?: number | undefined
  /** A part of title, name or key, in any case of ASCII letters. */
  text?: string | undefined
}
