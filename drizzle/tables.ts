import type { Columns } from './sqlite/columns.ts'

/** Every table of the service, once, for whichever engine's column kit is handed in. */
export function tables ({ table, unique, index, id, integer, text, ordered, instant }: Columns) {
  const users = table('users', {
    id: id(),
    email: text('email').notNull(),
    /** The address as compared: lower case, NFC. */
    emailKey: text('email_key').notNull(),
    displayName: text('display_name'),
    createdAt: instant('created_at').notNull()
  }, (t) => [unique('users_email_key').on(t.emailKey)])

  /** One started login. The state itself and the code are never stored, only their hashes. */
  const flows = table('flows', {
    stateHash: text('state_hash').primaryKey(),
    provider: text('provider').notNull(),
    clientId: text('client_id').notNull(),
    redirectUri: text('redirect_uri').notNull(),
    callerState: text('caller_state'),
    returnUrl: text('return_url'),
    browserHash: text('browser_hash'),
    expiresAt: instant('expires_at').notNull(),
    /** Set once, by whoever claims the flow; the outcome follows when the exchange has ended. */
    codeHash: text('code_hash'),
    claimedAt: instant('claimed_at'),
    outcome: text('outcome')
  }, (t) => [index('flows_expires_at').on(t.expiresAt)])

  /** One consent: a token pair of one Atlassian account at one client, used by every connection of that account. */
  const grants = table('grants', {
    /** Known before the row exists (it is derived from client and account), because it is sealed into the ciphertexts. */
    id: text('id').primaryKey(),
    clientId: text('client_id').notNull(),
    accountId: text('account_id').notNull(),
    scopes: text('scopes').notNull(),
    /** `active`, or `needs_reconnect` once Atlassian has said that only a new consent helps. */
    state: text('state').notNull(),
    accessToken: text('access_token').notNull(),
    refreshToken: text('refresh_token'),
    accessExpiresAt: instant('access_expires_at').notNull(),
    /** When the year began after which Atlassian wants a new consent. */
    consentedAt: instant('consented_at').notNull(),
    version: integer('version').notNull()
  }, (t) => [unique('grants_client_account').on(t.clientId, t.accountId)])

  const connections = table('connections', {
    id: id(),
    userId: integer('user_id').notNull().references(() => users.id, { onDelete: 'cascade' }),
    provider: text('provider').notNull(),
    grantId: text('grant_id').notNull().references(() => grants.id, { onDelete: 'cascade' }),
    /** JSON: the sites of the grant that hold this product, `[{ cloudId, name, url }]`. */
    sites: text('sites').notNull(),
    connectedAt: instant('connected_at').notNull()
  }, (t) => [unique('connections_user_provider').on(t.userId, t.provider), index('connections_grant').on(t.grantId)])

  const runs = table('runs', {
    id: id(),
    ownerId: integer('owner_id').notNull().references(() => users.id, { onDelete: 'cascade' }),
    provider: text('provider').notNull(),
    state: text('state').notNull(),
    /** `owner/provider` while the run is queued or running, so that the unique index allows one at a time. */
    activeKey: text('active_key'),
    seen: integer('seen').notNull(),
    added: integer('added').notNull(),
    changed: integer('changed').notNull(),
    calls: integer('calls').notNull(),
    errorCode: text('error_code'),
    errorDetail: text('error_detail'),
    createdAt: instant('created_at').notNull(),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at')
  }, (t) => [unique('runs_active').on(t.activeKey), index('runs_owner').on(t.ownerId, t.provider, t.id)])

  /** What every copied item carries. `site` is a cloudId, or empty for a row that a caller posted by hand. */
  const item = () => ({
    id: id(),
    ownerId: integer('owner_id').notNull().references(() => users.id, { onDelete: 'cascade' }),
    site: text('site').notNull(),
    remoteId: text('remote_id').notNull(),
    url: text('url'),
    /** 1 for a new row, one more with each write. */
    revision: integer('revision').notNull(),
    updatedAt: instant('updated_at').notNull()
  })

  const projects = table('projects', {
    ...item(),
    key: ordered('key').notNull(),
    name: text('name').notNull(),
    lead: text('lead')
  }, (t) => [
    unique('projects_remote').on(t.ownerId, t.site, t.remoteId),
    index('projects_by_key').on(t.ownerId, t.key, t.id)
  ])

  const pages = table('pages', {
    ...item(),
    spaceKey: text('space_key').notNull(),
    pageId: text('page_id').notNull(),
    title: ordered('title').notNull()
  }, (t) => [
    unique('pages_remote').on(t.ownerId, t.site, t.remoteId),
    index('pages_by_title').on(t.ownerId, t.title, t.id)
  ])

  return { users, flows, grants, connections, runs, projects, pages }
}

export type Tables = ReturnType<typeof tables>
