import type { ColumnKit } from './sqlite/columns.ts'

type UserIdReference = NonNullable<Parameters<ReturnType<ColumnKit['integer']>['references']>[0]>

/** Who may call the service. Secrets are kept as hashes only. */
export function defineAccessTables(
  { table, unique, index, id, integer, text, instant }: ColumnKit,
  user: UserIdReference
) {
  /** Keys of back ends. */
  const apiKeys = table(
    'api_keys',
    {
      id: id(),
      name: text('name').notNull(),
      /** The name while the key is not revoked, so that there is one key of a name. */
      activeName: text('active_name'),
      hash: text('hash').notNull(),
      /** What a person recognises the key by. */
      prefix: text('prefix').notNull(),
      scopes: text('scopes').notNull(),
      createdAt: instant('created_at').notNull(),
      expiresAt: instant('expires_at'),
      revokedAt: instant('revoked_at'),
      lastUsedAt: instant('last_used_at')
    },
    (t) => [unique('api_keys_hash').on(t.hash), unique('api_keys_name').on(t.activeName)]
  )

  /** Who a user is at an identity provider. */
  const identities = table(
    'identities',
    {
      id: id(),
      issuer: text('issuer').notNull(),
      subject: text('subject').notNull(),
      userId: integer('user_id').notNull().references(user, { onDelete: 'cascade' }),
      createdAt: instant('created_at').notNull()
    },
    (t) => [
      unique('identities_subject').on(t.issuer, t.subject),
      index('identities_user').on(t.userId)
    ]
  )

  /** What one browser may do for one person, for a short time. */
  const sessions = table(
    'sessions',
    {
      id: id(),
      hash: text('hash').notNull(),
      /** Of the cookie of the browser that has opened the session's link. */
      browserHash: text('browser_hash'),
      userId: integer('user_id').notNull().references(user, { onDelete: 'cascade' }),
      products: text('products').notNull(),
      returnUrl: text('return_url'),
      createdAt: instant('created_at').notNull(),
      expiresAt: instant('expires_at').notNull()
    },
    (t) => [
      unique('sessions_hash').on(t.hash),
      unique('sessions_browser').on(t.browserHash),
      index('sessions_expires_at').on(t.expiresAt),
      index('sessions_user').on(t.userId)
    ]
  )

  /** What was done, by whom: added to and never changed (triggers in the migrations). Of people it keeps numbers, and no row of another table. */
  const audit = table(
    'audit',
    {
      /** Without gaps, as the head counts. */
      seq: integer('seq').primaryKey(),
      at: instant('at').notNull(),
      /** `key`, `user`, `session`, `anonymous` (`anybody` in version 0.1), `operator` or `service`. */
      actor: text('actor').notNull(),
      actorId: integer('actor_id'),
      actorName: text('actor_name'),
      action: text('action').notNull(),
      /** Whom it is about. */
      userId: integer('user_id'),
      connectionId: integer('connection_id'),
      product: text('product'),
      ip: text('ip'),
      requestId: text('request_id'),
      /** JSON: what else there is to say. */
      detail: text('detail'),
      /** Of this row and the hash of the row before. */
      hash: text('hash').notNull()
    },
    (t) => [
      index('audit_user').on(t.userId, t.seq),
      index('audit_action').on(t.action, t.seq),
      index('audit_at').on(t.at)
    ]
  )

  /** One row: the end of the chain, which whoever adds to it holds, and the last row that was purged. */
  const auditHead = table('audit_head', {
    id: integer('id').primaryKey(),
    seq: integer('seq').notNull(),
    hash: text('hash').notNull(),
    prunedSeq: integer('cut_seq').notNull(),
    prunedHash: text('cut_hash').notNull()
  })

  /** How often somebody has asked in the window that is open; only where several instances count together. */
  const rates = table(
    'rates',
    {
      /** A hash: addresses of people are not kept. */
      bucket: text('bucket').primaryKey(),
      count: integer('count').notNull(),
      /** When the window closes, on the database's clock. */
      until: instant('until').notNull()
    },
    (t) => [index('rates_until').on(t.until)]
  )

  return { apiKeys, identities, sessions, audit, auditHead, rates }
}
