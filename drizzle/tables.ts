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
 * Every table of the service, for the engine whose column kit is passed.
 *
 * @param shapes the tables of the products' collections
 * @throws Error where two tables have one name
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

  /** One started login. The state itself and the code are never stored, only their hashes. */
  const flows = table(
    'flows',
    {
      stateHash: text('state_hash').primaryKey(),
      provider: text('provider').notNull(),
      clientId: text('client_id').notNull(),
      redirectUri: text('redirect_uri').notNull(),
      callerState: text('caller_state'),
      returnUrl: text('return_url'),
      /** What the login asked for, for answers that do not say what was granted. */
      scopes: text('scopes').notNull().default(''),
      /** 1: this login may put another Atlassian account in the place of the connected one. */
      changeAccount: integer('change_account').notNull().default(0),
      browserHash: text('browser_hash'),
      /** Whose login it is, where the caller was known; the caller's state has no say then. */
      userId: integer('user_id').references(() => users.id, { onDelete: 'cascade' }),
      /** Hash of who started it: of one caller only so many are kept. */
      quotaKey: text('opener').notNull().default(''),
      /** Who started it, for the audit trail: the consent is put down to them. Empty where nobody was known. */
      initiator: text('started_by').notNull().default(''),
      expiresAt: instant('expires_at').notNull(),
      /** Set once, by whoever claims the flow; the outcome follows when the exchange has ended. */
      codeHash: text('code_hash'),
      claimedAt: instant('claimed_at'),
      outcome: text('outcome')
    },
    (t) => [
      index('flows_expires_at').on(t.expiresAt),
      index('flows_opener').on(t.quotaKey, t.expiresAt)
    ]
  )

  /** One consent: a token pair of one Atlassian account at one client, used by every connection of that account. */
  const grants = table(
    'grants',
    {
      /** Known before the row exists (it is derived from client and account), because it is sealed into the ciphertexts. */
      id: text('id').primaryKey(),
      clientId: text('client_id').notNull(),
      accountId: text('account_id').notNull(),
      scopes: text('scopes').notNull(),
      /** `active`, `degraded`, `misconfigured` or `needs_reconnect` (src/model/states.ts), with the reason for it. */
      state: text('state').notNull(),
      errorCode: text('error_code'),
      errorDetail: text('error_detail'),
      /** The vault key that all sealed columns of this row were written with. */
      keyId: text('key_id').notNull().default(''),
      accessToken: text('access_token').notNull(),
      refreshToken: text('refresh_token'),
      accessExpiresAt: instant('access_expires_at').notNull(),
      /**
       * The refresh token before, which works for ten minutes more
       * (docs/reference/atlassian.md#31-rotation).
       */
      previousRefreshToken: text('previous_refresh_token'),
      previousUntil: instant('previous_until'),
      /** When the year began after which Atlassian wants a new consent. */
      consentedAt: instant('consented_at').notNull(),
      /** The latest exchange of a refresh token; null before the first. */
      rotatedAt: instant('rotated_at'),
      /** When the first of the exchanges was begun whose end nobody knows; null when the latest one ended. */
      attemptAt: instant('attempt_at'),
      /** When upkeep refreshes by itself, whether anybody asks or not. */
      dueAt: instant('due_at'),
      /** Refreshes that failed one after the other, and when the next may be tried. */
      failures: integer('failures').notNull().default(0),
      nextTryAt: instant('next_try_at'),
      /** Days before the year's end that the latest warning was given at. */
      warnedDays: integer('warned_days'),
      /** When Atlassian is next told that its account is kept; null: as soon as it is told anything. */
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

  /** Who may do a thing that one process at a time may do. The times are the database's own. */
  const leases = table('leases', {
    name: text('name').primaryKey(),
    /** New at each taking, so that a holder who lost it and woke up is told from who has it now. */
    owner: text('owner').notNull(),
    until: instant('until').notNull()
  })

  /** The keys this database has been written with: a sealed word that tells the right key from a wrong one of the same name. */
  const vaultKeys = table('vault_keys', {
    id: text('id').primaryKey(),
    proof: text('proof').notNull(),
    /** How often it has sealed. */
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
      /** JSON: the sites of the grant that held this product when they were last asked for, `[{ cloudId, name, url }]`. */
      sites: text('sites').notNull(),
      /** JSON: the sites that are copied, of the same form; one of them may be gone from `sites`. */
      selectedSites: text('bound').notNull().default('[]'),
      /** `active`, `needs_site` or `scope_missing`: what is between this connection and its copies, the grant aside. */
      state: text('state').notNull().default('active'),
      errorCode: text('error_code'),
      errorDetail: text('error_detail'),
      /** JSON: features that the gateway has refused for a scope, whatever the token said. */
      refusedFeatures: text('refused').notNull().default('[]'),
      /** One more with each write: who decided on an older one decides again. */
      version: integer('version').notNull().default(1),
      connectedAt: instant('connected_at').notNull(),
      /** JSON: what the owner has chosen of what is optional, `{ pageBodies }`. */
      options: text('options').notNull().default('{}'),
      /** When it is copied next without anybody asking. */
      syncDueAt: instant('sync_due_at')
    },
    (t) => [
      unique('connections_user_provider').on(t.userId, t.provider),
      index('connections_grant').on(t.grantId),
      index('connections_sync_due').on(t.syncDueAt)
    ]
  )

  /** Each change of a connection's state, whatever caused it. */
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
      /** `due`, `incremental` or `full`: what was asked for. */
      mode: text('mode').notNull().default('due'),
      /** `queued`, `running` or `parked` while it is under way; then `succeeded`, `partial`, `failed` or `cancelled`. */
      state: text('state').notNull(),
      /** `owner/provider` while the run is under way, so that the unique index allows one at a time. */
      activeKey: text('active_key'),
      /** Who works at it, new at each taking, and until when that holds by the database's clock. */
      worker: text('worker'),
      leaseUntil: instant('lease_until'),
      /** When a parked run goes on. */
      parkedUntil: instant('parked_until'),
      seen: integer('seen').notNull(),
      added: integer('added').notNull(),
      changed: integer('changed').notNull(),
      removed: integer('removed').notNull().default(0),
      held: integer('held').notNull().default(0),
      skipped: integer('skipped').notNull().default(0),
      calls: integer('calls').notNull(),
      points: integer('points').notNull().default(0),
      /** JSON: what is copied now and how far, `{ collection, site, done, expected }`. */
      progress: text('progress'),
      /** JSON: the parts that are done, so that a run that goes on does not do them again. */
      done: text('done').notNull().default('[]'),
      /** JSON: what failed, the first hundred. */
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
      // What is under way is little beside what has ended: to be taken in order, and the parked ones by when they go on.
      index('runs_waiting')
        .on(t.id)
        .where(sql`${t.activeKey} is not null`),
      index('runs_parked')
        .on(t.state, t.parkedUntil)
        .where(sql`${t.activeKey} is not null`)
    ]
  )

  /** Where the copying of one collection of one site is, for one owner. */
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
      /** The number of the latest full listing that was begun, and of the latest two that were complete. */
      generation: integer('pass').notNull().default(0),
      completeGeneration: integer('complete_pass').notNull().default(0),
      previousGeneration: integer('earlier_pass').notNull().default(0),
      /** Where the listing that is under way goes on; null when none is. */
      cursor: text('cursor'),
      /** When it was begun, by Atlassian's clock. */
      listingStartedAt: instant('begun_at'),
      /** Items it has shown so far, and how many the latest complete one showed. */
      listed: integer('listed').notNull().default(0),
      listedBefore: integer('listed_before').notNull().default(0),
      completeAt: instant('complete_at'),
      /** The newest change that was seen: incremental copies go on from here. */
      watermark: instant('watermark'),
      /** What the rows hold besides the usual, `bodies` for one: another wish takes a full listing. */
      bodyMode: text('variant').notNull().default(''),
      /** JSON: ids of items that failed, to be tried again. */
      retry: text('retry').notNull().default('[]'),
      /** How many deletions a listing that shrank holds back, and since when; null where none are. */
      heldCount: integer('held_count').notNull().default(0),
      heldAt: instant('held_at')
    },
    (t) => [unique('checkpoints_part').on(t.ownerId, t.provider, t.site, t.collection)]
  )

  /** What all instances together may still call at Atlassian: one row for each app, site of an app and endpoint of a site that has been refused or counted. */
  const budgets = table('budgets', {
    name: text('name').primaryKey(),
    /** Nobody calls there before that, by the database's clock, and who has said so. */
    until: instant('until').notNull(),
    owner: text('owner').notNull().default(''),
    /** Refusals one after the other. */
    consecutiveRefusals: integer('strikes').notNull().default(0),
    /** Points spent in an hour, which is counted since the epoch. */
    hour: integer('hour').notNull().default(0),
    pointsUsed: integer('used').notNull().default(0)
  })

  /** Where an owner's change feed is: the number of the latest change, and of the latest that is no longer told. */
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
    /** By the names of the collections. */
    items: items as ReadonlyMap<string, ItemTableDefinition>,
    all
  }
}

export type Tables = ReturnType<typeof defineTables>
