import { sql } from 'drizzle-orm'
import type { ColumnKit } from './sqlite/columns.ts'

/**
 * The copies: a table for each kind of thing.
 *
 * @param owner the column that says whose they are
 */
export function defineItemTables(
  { table, unique, index, id, integer, text, ordered, instant }: ColumnKit,
  owner: OwnerIdReference
) {
  /** What every copied item carries. `site` is a cloudId, or empty for a row that a caller posted by hand. */
  const item = () => ({
    id: id(),
    ownerId: integer('owner_id').notNull().references(owner, { onDelete: 'cascade' }),
    site: text('site').notNull(),
    remoteId: text('remote_id').notNull(),
    url: text('url'),
    /** 1 for a new row, one more with each write. */
    revision: integer('revision').notNull(),
    updatedAt: instant('updated_at').notNull(),
    /** When it was last changed at Atlassian; null where Atlassian does not say. */
    remoteUpdatedAt: instant('remote_updated_at'),
    /** Its place in the owner's change feed: a new one with each change. */
    seq: integer('seq').notNull().default(0),
    /** The latest full listing (`checkpoints.pass`) that showed it. */
    generation: integer('pass').notNull().default(0),
    /** Set on a tombstone, whose contents are gone; it is kept for the feed. */
    deletedAt: instant('deleted_at')
  })

  const projects = table(
    'projects',
    {
      ...item(),
      key: ordered('key').notNull(),
      name: text('name').notNull(),
      lead: text('lead')
    },
    (t) => [
      unique('projects_remote').on(t.ownerId, t.site, t.remoteId),
      index('projects_by_key').on(t.ownerId, t.key, t.id),
      index('projects_changes').on(t.ownerId, t.seq),
      index('projects_deleted')
        .on(t.deletedAt)
        .where(sql`${t.deletedAt} is not null`)
    ]
  )

  const issues = table(
    'issues',
    {
      ...item(),
      issueId: text('issue_id').notNull(),
      key: ordered('key').notNull(),
      projectKey: text('project_key').notNull(),
      summary: text('summary').notNull(),
      status: text('status'),
      issueType: text('issue_type'),
      assignee: text('assignee'),
      remoteCreatedAt: instant('remote_created_at')
    },
    (t) => [
      unique('issues_remote').on(t.ownerId, t.site, t.remoteId),
      index('issues_by_key').on(t.ownerId, t.key, t.id),
      index('issues_by_project').on(t.ownerId, t.projectKey, t.key, t.id),
      index('issues_changes').on(t.ownerId, t.seq),
      index('issues_deleted')
        .on(t.deletedAt)
        .where(sql`${t.deletedAt} is not null`)
    ]
  )

  const spaces = table(
    'spaces',
    {
      ...item(),
      spaceId: text('space_id').notNull(),
      key: ordered('key').notNull(),
      name: text('name').notNull(),
      type: text('type'),
      status: text('status')
    },
    (t) => [
      unique('spaces_remote').on(t.ownerId, t.site, t.remoteId),
      index('spaces_by_key').on(t.ownerId, t.key, t.id),
      index('spaces_changes').on(t.ownerId, t.seq),
      index('spaces_deleted')
        .on(t.deletedAt)
        .where(sql`${t.deletedAt} is not null`)
    ]
  )

  const pages = table(
    'pages',
    {
      ...item(),
      spaceKey: text('space_key').notNull(),
      pageId: text('page_id').notNull(),
      title: ordered('title').notNull(),
      status: text('status'),
      /** Storage format, where the connection wants bodies. */
      body: text('body'),
      /** The same as plain text. */
      bodyText: text('body_text')
    },
    (t) => [
      unique('pages_remote').on(t.ownerId, t.site, t.remoteId),
      index('pages_by_title').on(t.ownerId, t.title, t.id),
      index('pages_by_space').on(t.ownerId, t.spaceKey, t.title, t.id),
      index('pages_changes').on(t.ownerId, t.seq),
      index('pages_deleted')
        .on(t.deletedAt)
        .where(sql`${t.deletedAt} is not null`)
    ]
  )

  return { projects, issues, spaces, pages }
}

type OwnerIdReference = NonNullable<Parameters<ReturnType<ColumnKit['integer']>['references']>[0]>
