import { getTableName, sql } from 'drizzle-orm'
import { defineAccessTables } from './access.ts'
import { defineItemTable, type ItemTable, type ItemTableShape } from './items.ts'
import type { ColumnKit } from './sqlite/columns.ts'

/** The table of a collection, and the shape it was made from. */
export interface ItemTableDefinition {
  shape: ItemTableShape
  table: ItemTable
}

/**
 * Defines every table of the service for the engine whose column kit is passed.
 *
 * @param shapes the tables of the products' collections
 * @throws Error if two tables have the same name
 */
export function defineTables(kit: ColumnKit, shapes: readonly ItemTableShape[]) {
  const { table, unique, index, id, integer, text, instant } = kit

  const users = table(
    'users',
    {
      id: id(),
      email: text('email').notNull(),
      /** The address as compared: lower case, NFC. */
      emailKey: text('email_key').notNull(),
      displayName: text('display_name'),
      createdAt: instant('created_at').notNull()
    },
    (t) => [unique('users_email_key').on(t.emailKey)]
  )

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
      userId: integer('user_id').references(() => users.id, { onDelete: 'cascade' }),
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
    createdAt: instant('created_at').notNull()
  })

  const connections = table(
    'connections',
    {
      id: id(),
      userId: integer('user_id')
        .notNull()
        .references(() => users.id, { onDelete: 'cascade' }),
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
      /** Incremented with each write (optimistic locking). */
      version: integer('version').notNull().default(1),
      connectedAt: instant('connected_at').notNull(),
      /** JSON: the options the owner has set. */
      options: text('options').notNull().default('{}'),
      /** When the scheduler syncs it next. */
      syncDueAt: instant('sync_due_at')
    },
    (t) => [
      unique('connections_user_provider').on(t.userId, t.provider),
      index('connections_grant').on(t.grantId),
      index('connections_sync_due').on(t.syncDueAt)
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

  const runs = table(
    'runs',
    {
      id: id(),
      ownerId: integer('owner_id')
        .notNull()
        .references(() => users.id, { onDelete: 'cascade' }),
      provider: text('provider').notNull(),
      /** The requested mode: `due`, `incremental` or `full`. */
      mode: text('mode').notNull().default('due'),
      /**
       * Active: `queued`, `running` or `parked`; ended: `succeeded`, `partial`, `failed` or
       * `cancelled`.
       */
      state: text('state').notNull(),
      /** `owner/provider` while the run is active; the unique index allows one at a time. */
      activeKey: text('active_key'),
      /**
       * The worker that owns the run, new at each claim, and the end of its lease on the
       * database's clock.
       */
      worker: text('worker'),
      leaseUntil: instant('lease_until'),
      /** When a parked run resumes. */
      parkedUntil: instant('parked_until'),
      seen: integer('seen').notNull(),
      added: integer('added').notNull(),
      changed: integer('changed').notNull(),
      removed: integer('removed').notNull().default(0),
      held: integer('held').notNull().default(0),
      skipped: integer('skipped').notNull().default(0),
      calls: integer('calls').notNull(),
      points: integer('points').notNull().default(0),
      /** JSON: the current progress, `{ collection, site, done, expected }`. */
      progress: text('progress'),
      /** JSON: completed parts, which a resumed run skips. */
      done: text('done').notNull().default('[]'),
      /** JSON: the first hundred failures. */
      failures: text('failures').notNull().default('[]'),
      errorCode: text('error_code'),
      errorDetail: text('error_detail'),
      createdAt: instant('created_at').notNull(),
      startedAt: instant('started_at'),
      finishedAt: instant('finished_at')
    },
    (t) => [
      unique('runs_active').on(t.activeKey),
      index('runs_owner').on(t.ownerId, t.provider, t.id),
      index('runs_finished').on(t.finishedAt),
      // Active runs are few compared with ended ones: claimed in id order, parked ones by their
      // resume time.
      index('runs_waiting')
        .on(t.id)
        .where(sql`${t.activeKey} is not null`),
      index('runs_parked')
        .on(t.state, t.parkedUntil)
        .where(sql`${t.activeKey} is not null`)
    ]
  )

  /** Progress of syncing one collection of one site for one owner. */
  const checkpoints = table(
    'checkpoints',
    {
      id: id(),
      ownerId: integer('owner_id')
        .notNull()
        .references(() => users.id, { onDelete: 'cascade' }),
      provider: text('provider').notNull(),
      site: text('site').notNull(),
      collection: text('collection').notNull(),
      /** The latest full listing that was started, and the latest two that were complete. */
      generation: integer('pass').notNull().default(0),
      completeGeneration: integer('complete_pass').notNull().default(0),
      previousGeneration: integer('earlier_pass').notNull().default(0),
      /** Where the current listing resumes; null if none is running. */
      cursor: text('cursor'),
      /** When it started, on Atlassian's clock. */
      listingStartedAt: instant('begun_at'),
      /** Items it has listed so far, and the count of the latest complete listing. */
      listed: integer('listed').notNull().default(0),
      listedBefore: integer('listed_before').notNull().default(0),
      completeAt: instant('complete_at'),
      /** The time of the newest change seen; incremental syncs continue from it. */
      watermark: instant('watermark'),
      /** The optional content of the rows, such as `bodies`; a change requires a full listing. */
      bodyMode: text('variant').notNull().default(''),
      /** JSON: ids of failed items to retry. */
      retry: text('retry').notNull().default('[]'),
      /** Number of held deletions, and since when; null if there are none. */
      heldCount: integer('held_count').notNull().default(0),
      heldAt: instant('held_at')
    },
    (t) => [unique('checkpoints_part').on(t.ownerId, t.provider, t.site, t.collection)]
  )

  /**
   * Shared rate-limit state: one row per app, site of an app and endpoint of a site that was
   * refused or counted.
   */
  const budgets = table('budgets', {
    name: text('name').primaryKey(),
    /** Calls are blocked until then, on the database's clock, and the refusal that caused it. */
    until: instant('until').notNull(),
    owner: text('owner').notNull().default(''),
    /** Consecutive refusals. */
    consecutiveRefusals: integer('strikes').notNull().default(0),
    /** Points used in an hour, counted since the epoch. */
    hour: integer('hour').notNull().default(0),
    pointsUsed: integer('used').notNull().default(0)
  })

  /**
   * Position of an owner's change feed: the latest sequence number, and the latest that was
   * pruned.
   */
  const feeds = table('feeds', {
    ownerId: integer('owner_id')
      .primaryKey()
      .references(() => users.id, { onDelete: 'cascade' }),
    seq: integer('seq').notNull(),
    prunedSeq: integer('forgotten').notNull()
  })

  const serviceTables = {
    users,
    flows,
    grants,
    leases,
    vaultKeys,
    connections,
    history,
    runs,
    checkpoints,
    budgets,
    feeds,
    ...defineAccessTables(kit, () => users.id)
  }
  const items = new Map(
    shapes.map((shape): [string, ItemTableDefinition] => [
      shape.name,
      { shape, table: defineItemTable(kit, () => users.id, shape) }
    ])
  )
  const all = [...Object.values(serviceTables), ...[...items.values()].map(({ table }) => table)]
  const names = all.map((each) => getTableName(each))
  if (items.size < shapes.length || new Set(names).size < names.length) {
    throw new Error('Two tables have the same name: a collection needs a name of its own.')
  }
  return {
    ...serviceTables,
    /** Keyed by collection name. */
    items: items as ReadonlyMap<string, ItemTableDefinition>,
    all
  }
}

export type Tables = ReturnType<typeof defineTables>
