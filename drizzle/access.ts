import type { ColumnKit, UserIdReference } from './sqlite/columns.ts'

/** Tables for authentication and audit. Secrets are stored as hashes only. */
export function defineAccessTables(
  { table, unique, index, id, integer, text, instant }: ColumnKit,
  user: UserIdReference
) {
  /** Service keys. */
  const apiKeys = table(
    'api_keys',
    {
      id: id(),
      name: text('name').notNull(),
      /** The name, while the key is active, so that active names are unique. */
      activeName: text('active_name'),
      hash: text('hash').notNull(),
      /** The visible start of the key, by which a person recognises it. */
      prefix: text('prefix').notNull(),
      scopes: text('scopes').notNull(),
      /** Addresses and ranges that it may be used from, separated by commas; null: anywhere. */
      networks: text('networks'),
      createdAt: instant('created_at').notNull(),
      expiresAt: instant('expires_at'),
      /** When a key that was replaced by its successor stops working. */
      rotatedUntil: instant('rotated_until'),
      revokedAt: instant('revoked_at'),
      lastUsedAt: instant('last_used_at')
    },
    (t) => [unique('api_keys_hash').on(t.hash), unique('api_keys_name').on(t.activeName)]
  )

  /** Identities of users at identity providers. */
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

  /** Connect sessions. */
  const sessions = table(
    'sessions',
    {
      id: id(),
      hash: text('hash').notNull(),
      /** Hash of the cookie of the browser that opened the link. */
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

  /**
   * The audit trail. Triggers in the migrations forbid changes. It holds ids of people and
   * refers to no other table.
   */
  const audit = table(
    'audit',
    {
      /** Without gaps, as the head counts. */
      seq: integer('seq').primaryKey(),
      at: instant('at').notNull(),
      /**
       * `key`, `user`, `session`, `anonymous` (`anybody` in version 0.1), `operator` or
       * `service`.
       */
      actor: text('actor').notNull(),
      actorId: integer('actor_id'),
      actorName: text('actor_name'),
      action: text('action').notNull(),
      /** The user concerned. */
      userId: integer('user_id'),
      connectionId: integer('connection_id'),
      product: text('product'),
      ip: text('ip'),
      requestId: text('request_id'),
      /** JSON: further details. */
      detail: text('detail'),
      /**
       * `<key id>.<HMAC>` over this row and the previous row's hash (src/store/audit-chain.ts).
       * Rows of earlier versions have a SHA-256 without a key.
       */
      hash: text('hash').notNull()
    },
    (t) => [
      index('audit_user').on(t.userId, t.seq),
      index('audit_action').on(t.action, t.seq),
      index('audit_at').on(t.at)
    ]
  )

  /** One row: the head of the chain, which a writer locks, and the last purged row. */
  const auditHead = table('audit_head', {
    id: integer('id').primaryKey(),
    seq: integer('seq').notNull(),
    hash: text('hash').notNull(),
    prunedSeq: integer('cut_seq').notNull(),
    prunedHash: text('cut_hash').notNull(),
    /** `<key id>.<HMAC>` over this row; empty until this version has signed it. */
    signature: text('signature').notNull().default('')
  })

  /** Requests per caller in the current window; used only if several instances count together. */
  const rates = table(
    'rates',
    {
      /** A hash: IP addresses are not stored. */
      bucket: text('bucket').primaryKey(),
      count: integer('count').notNull(),
      /** End of the window, on the database's clock. */
      until: instant('until').notNull()
    },
    (t) => [index('rates_until').on(t.until)]
  )

  return { apiKeys, identities, sessions, audit, auditHead, rates }
}
