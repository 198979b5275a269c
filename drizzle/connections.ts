import type { ColumnKit, UserIdReference } from './sqlite/columns.ts'

/** Tables for logins, consents, their tokens and leases, and the connections that use them. */
export function defineConnectionTables(
  { table, unique, index, id, integer, text, instant }: ColumnKit,
  userId: UserIdReference
) {
  /** Started logins. State and code are stored as hashes only. */
  const flows = table(
    'flows',
    {
      stateHash: text('state_hash').primaryKey(),
      provider: text('provider').notNull(),
      clientId: text('client_id').notNull(),
      redirectUri: text('redirect_uri').notNull(),
      callerState: text('caller_state'),
      returnUrl: text('return_url'),
      /** The requested scopes, used if the token response names none. */
      scopes: text('scopes').notNull().default(''),
      /** 1: another Atlassian account may replace the connected one. */
      changeAccount: integer('change_account').notNull().default(0),
      browserHash: text('browser_hash'),
      /** The user, if the caller was authenticated; the caller's state is then ignored. */
      userId: integer('user_id').references(userId, { onDelete: 'cascade' }),
      /** Hash of the caller, for the quota of open logins. */
      quotaKey: text('opener').notNull().default(''),
      /** Who started it, for the audit trail; empty if unknown. */
      initiator: text('started_by').notNull().default(''),
      expiresAt: instant('expires_at').notNull(),
      /**
       * Set once, by the request that claims the flow; the outcome follows when the exchange has
       * ended.
       */
      codeHash: text('code_hash'),
      claimedAt: instant('claimed_at'),
      outcome: text('outcome')
    },
    (t) => [
      index('flows_expires_at').on(t.expiresAt),
      index('flows_opener').on(t.quotaKey, t.expiresAt)
    ]
  )

  /**
   * Consents: one token pair per Atlassian account and client, used by every connection of that
   * account.
   */
  const grants = table(
    'grants',
    {
      /**
       * Derived from client and account: it must be known before encryption, because it is part
       * of the additional authenticated data.
       */
      id: text('id').primaryKey(),
      clientId: text('client_id').notNull(),
      accountId: text('account_id').notNull(),
      scopes: text('scopes').notNull(),
      /**
       * `active`, `degraded`, `misconfigured` or `needs_reconnect` (src/model/states.ts), with
       * its reason.
       */
      state: text('state').notNull(),
      errorCode: text('error_code'),
      errorDetail: text('error_detail'),
      /** The vault key that encrypted this row's tokens. */
      keyId: text('key_id').notNull().default(''),
      accessToken: text('access_token').notNull(),
      refreshToken: text('refresh_token'),
      accessExpiresAt: instant('access_expires_at').notNull(),
      /**
       * The previous refresh token, which works for ten more minutes
       * (docs/reference/atlassian.md#31-rotation).
       */
      previousRefreshToken: text('previous_refresh_token'),
      previousUntil: instant('previous_until'),
      /** Start of the year after which Atlassian requires a new consent. */
      consentedAt: instant('consented_at').notNull(),
      /** Time of the latest refresh; null before the first. */
      rotatedAt: instant('rotated_at'),
      /** Start of the first exchange with an unknown outcome; null if the latest one ended. */
      attemptAt: instant('attempt_at'),
      /** When the maintenance job refreshes, even if nobody needs a token. */
      dueAt: instant('due_at'),
      /** Consecutive failed refreshes, and the time of the next attempt. */
      failures: integer('failures').notNull().default(0),
      nextTryAt: instant('next_try_at'),
      /** Days before the end of the consent at which the latest warning was logged. */
      warnedDays: integer('warned_days'),
      /** When the account is next reported to Atlassian; null: with the next report. */
      reportDueAt: instant('report_due_at'),
      version: integer('version').notNull()
    },
    (t) => [
      unique('grants_client_account').on(t.clientId, t.accountId),
      index('grants_due').on(t.dueAt),
      index('grants_key').on(t.keyId, t.id),
      index('grants_previous').on(t.previousUntil),
      index('grants_consented').on(t.consentedAt),
      index('grants_state').on(t.state, t.clientId),
      index('grants_report').on(t.clientId, t.reportDueAt)
    ]
  )

  /** Rights that one process at a time holds. Times are the database's. */
  const leases = table('leases', {
    name: text('name').primaryKey(),
    /** New at each acquisition, so that a former holder differs from the current one. */
    owner: text('owner').notNull(),
    until: instant('until').notNull()
  })

  /**
   * Keys with which this database has been written. The proof, an encrypted known text, tells
   * the right key from a wrong one with the same id.
   */
  const vaultKeys = table('vault_keys', {
    id: text('id').primaryKey(),
    proof: text('proof').notNull(),
    /** Number of encryptions with the key. */
    uses: integer('uses').notNull(),
    /**
     * The signing key derived from this key, encrypted with the current key: it verifies the
     * audit trail after this key was removed from VAULT_KEYS.
     */
    signingKey: text('signing_key'),
    /** The key with the greatest number encrypts; null: it has never encrypted. */
    promotion: integer('promotion'),
    /** What promoted it: `order`, the first place among the configured keys, or `command`. */
    promotedBy: text('promoted_by'),
    createdAt: instant('created_at').notNull()
  })

  const connections = table(
    'connections',
    {
      id: id(),
      userId: integer('user_id').notNull().references(userId, { onDelete: 'cascade' }),
      provider: text('provider').notNull(),
      grantId: text('grant_id')
        .notNull()
        .references(() => grants.id, { onDelete: 'cascade' }),
      /**
       * JSON: the grant's sites with this product when Atlassian was last asked, `[{ cloudId,
       * name, url }]`.
       */
      sites: text('sites').notNull(),
      /** JSON of the same form: the selected sites; one of them may be missing in `sites`. */
      selectedSites: text('bound').notNull().default('[]'),
      /**
       * The connection's own state, ignoring the grant: `active`, `needs_site` or
       * `scope_missing`.
       */
      state: text('state').notNull().default('active'),
      errorCode: text('error_code'),
      errorDetail: text('error_detail'),
      /** JSON: features that the gateway has refused for lack of a scope. */
      refusedFeatures: text('refused').notNull().default('[]'),
      /**
       * `<key id>.<HMAC>` over the owner, the grant, the sites and the state; empty until this
       * version has signed the row, and after a rotation that found it invalid.
       */
      signature: text('signature').notNull().default(''),
      /** Incremented with each write (optimistic locking). */
      version: integer('version').notNull().default(1),
      connectedAt: instant('connected_at').notNull(),
      /** JSON: the options the owner has set. */
      options: text('options').notNull().default('{}'),
      /** When the scheduler syncs it next. */
      syncDueAt: instant('sync_due_at'),
      /**
       * Points of the latest reading of changes, listing of projects or spaces, and full run;
       * null until measured.
       */
      routinePoints: integer('routine_points'),
      listingPoints: integer('listing_points'),
      fullPoints: integer('full_points')
    },
    (t) => [
      unique('connections_user_provider').on(t.userId, t.provider),
      index('connections_grant').on(t.grantId),
      index('connections_sync_due').on(t.syncDueAt),
      index('connections_state').on(t.state, t.id)
    ]
  )

  /** State changes of connections. */
  const history = table(
    'history',
    {
      id: id(),
      connectionId: integer('connection_id')
        .notNull()
        .references(() => connections.id, { onDelete: 'cascade' }),
      fromState: text('from_state'),
      toState: text('to_state').notNull(),
      code: text('code'),
      detail: text('detail'),
      at: instant('at').notNull()
    },
    (t) => [index('history_connection').on(t.connectionId, t.id)]
  )

  return { flows, grants, leases, vaultKeys, connections, history }
}
