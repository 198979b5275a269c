import { and, asc, desc, eq, getTableName, gt, gte, lt, lte, sql } from 'drizzle-orm'
import { hashEntry, type ChainHead, type ChainedEntry } from '../audit-chain.ts'
import type { Actor } from '../../lib/actor.ts'
import type { Database, Engine, RawRow, TransactionScript } from '../engine.ts'
import type { StateChange } from './connection-history.ts'

/** The actions that the audit trail records. */
export const AUDIT_ACTIONS = [
  'user_created',
  'user_removed',
  'identity_linked',
  'connection_created',
  'consent_given',
  'account_changed',
  'state_changed',
  'refreshed',
  'sites_chosen',
  'options_chosen',
  'disconnected',
  'run_cancelled',
  'deletions_confirmed',
  'key_created',
  'key_revoked',
  'key_rotated',
  'session_created',
  'session_opened',
  'session_ended',
  'vault_key_rotated',
  'data_exported',
  'account_closed',
  'audit_purged'
] as const
type AuditAction = (typeof AUDIT_ACTIONS)[number]

/** One action. `detail` must contain no secrets and no personal data other than ids. */
export interface AuditEntry {
  action: AuditAction
  userId?: number
  connectionId?: number
  product?: string
  detail?: Record<string, unknown>
}

export interface AuditRow extends Omit<ChainedEntry, 'at'> {
  at: Date
}
export interface AuditFilter {
  userId?: number | undefined
  action?: string | undefined
  since?: Date | undefined
}

/** A transaction that records the entries for what it does. */
type AuditedTransaction<T> = (
  tx: Database,
  record: (...entries: AuditEntry[]) => void
) => TransactionScript<T>

const HEAD_ID = 1
/** Rows deleted per transaction by a purge. */
const PURGE_BATCH_SIZE = 5_000

/**
 * The audit trail: a hash chain. Each row is appended in the same transaction as the action it
 * records.
 */
export function createAuditLog(
  { db, tables: { audit, auditHead }, serializedTransaction }: Engine,
  now: () => number,
  getActor: () => Actor
) {
  const headColumns = {
    seq: auditHead.seq,
    hash: auditHead.hash,
    prunedSeq: auditHead.prunedSeq,
    prunedHash: auditHead.prunedHash
  }

  const lockTable = getTableName(auditHead)

  /** Reads the head of the chain; the caller holds the chain's lock. */
  function* lockHead(tx: Database): TransactionScript<ChainHead> {
    const [row] = yield tx
      .insert(auditHead)
      .values({ id: HEAD_ID, seq: 0, hash: '', prunedSeq: 0, prunedHash: '' })
      .onConflictDoUpdate({ target: auditHead.id, set: { id: HEAD_ID } })
      .returning(headColumns)
    if (row === undefined) throw new Error('The audit trail has no head row')
    return {
      seq: Number(row.seq),
      hash: String(row.hash),
      prunedSeq: Number(row[auditHead.prunedSeq.name]),
      prunedHash: String(row[auditHead.prunedHash.name])
    }
  }

  /** Appends entries, or fails with the whole transaction. */
  function* appendEntries(tx: Database, entries: readonly AuditEntry[]): TransactionScript<void> {
    if (entries.length === 0) return
    let { seq, hash } = yield* lockHead(tx)
    const { kind, id, name, ip, requestId } = getActor()
    for (const { action, userId, connectionId, product, detail } of entries) {
      const row = {
        seq: ++seq,
        at: now(),
        actor: kind,
        actorId: id ?? null,
        actorName: name ?? null,
        action,
        userId: userId ?? null,
        connectionId: connectionId ?? null,
        product: product ?? null,
        ip: ip ?? null,
        requestId: requestId ?? null,
        detail: detail === undefined ? null : JSON.stringify(detail)
      }
      hash = hashEntry(hash, row)
      yield tx.insert(audit).values({ ...row, at: new Date(row.at), hash })
    }
    yield tx.update(auditHead).set({ seq, hash }).where(eq(auditHead.id, HEAD_ID))
  }

  /**
   * Runs a transaction and appends the entries it records: both or neither. Every append goes
   * through here and locks the head first, so no transaction waits for the head while holding
   * other locks (which could deadlock).
   */
  async function runAudited<T>(script: AuditedTransaction<T>): Promise<T> {
    return await serializedTransaction(lockTable, function* (tx) {
      const recordedEntries: AuditEntry[] = []
      const result = yield* script(tx, (...entries) => {
        recordedEntries.push(...entries)
      })
      yield* appendEntries(tx, recordedEntries)
      return result
    })
  }

  return {
    runAudited,

    /** Appends an entry for an action that changes nothing else in the database. */
    async append(entry: AuditEntry): Promise<void> {
      await runAudited(function* (_tx, record): TransactionScript<void> {
        record(entry)
      })
    },

    /** Entries for state changes of connections. The first state of a new connection needs none. */
    toStateChangeEntries: (changes: readonly StateChange[]): AuditEntry[] =>
      changes
        .filter(({ from }) => from !== null)
        .map(({ connectionId, userId, provider, from, to, code }) => ({
          action: 'state_changed',
          userId,
          connectionId,
          product: provider,
          detail: { from, to, code }
        })),

    /**
     * One entry for a token refresh, however many connections use the grant. It names the user if
     * all of them are that user's, and the connection and product if there is only one.
     */
    toRefreshEntry(connections: RawRow[]): AuditEntry {
      const [first, ...others] = connections
      const isSingleUser = others.every(({ user_id: id }) => id === first?.user_id)
      return {
        action: 'refreshed',
        ...(first === undefined || !isSingleUser ? {} : { userId: Number(first.user_id) }),
        ...(first === undefined || others.length > 0
          ? {}
          : { connectionId: Number(first.id), product: String(first.provider) }),
        detail: { connections: connections.map(({ id }) => Number(id)) }
      }
    },

    /** Newest first, older than the row `before`. */
    async list(
      { userId, action, since }: AuditFilter,
      limit: number,
      before = Number.MAX_SAFE_INTEGER
    ): Promise<AuditRow[]> {
      return await db
        .select()
        .from(audit)
        .where(
          and(
            lt(audit.seq, before),
            userId === undefined ? undefined : eq(audit.userId, userId),
            action === undefined ? undefined : eq(audit.action, action),
            since === undefined ? undefined : gte(audit.at, since)
          )
        )
        .orderBy(desc(audit.seq))
        .limit(limit)
    },

    /** Both ends of the chain; undefined if nothing was ever written. */
    async getHead(): Promise<ChainHead | undefined> {
      return (await db.select(headColumns).from(auditHead).where(eq(auditHead.id, HEAD_ID)))[0]
    },

    /** In chain order, behind the row `after`. */
    async listEntriesAfter(after: number, limit: number): Promise<ChainedEntry[]> {
      return (
        await db
          .select()
          .from(audit)
          .where(gt(audit.seq, after))
          .orderBy(asc(audit.seq))
          .limit(limit)
      ).map((row) => ({ ...row, at: row.at.getTime() }))
    },

    /**
     * Deletes rows older than `before` from the start of the chain and stores where it now
     * starts, so that the rest can still be verified. Appends `purgeEntry` if any row was
     * deleted.
     *
     * @returns the number of deleted rows
     */
    async purge(before: Date, purgeEntry?: AuditEntry): Promise<number> {
      let purged = 0
      for (
        let batchCount = PURGE_BATCH_SIZE;
        batchCount === PURGE_BATCH_SIZE;
        purged += batchCount
      ) {
        batchCount = await serializedTransaction(lockTable, function* (tx) {
          const { seq, prunedSeq } = yield* lockHead(tx)
          const [firstKept] = yield tx
            .select({ seq: sql`min(${audit.seq})`.as('seq') })
            .from(audit)
            .where(gte(audit.at, before))
          const cutoffSeq = Math.min(
            prunedSeq + PURGE_BATCH_SIZE,
            firstKept?.seq == null ? seq : Number(firstKept.seq) - 1
          )
          const [last] = yield tx
            .select({ hash: audit.hash })
            .from(audit)
            .where(eq(audit.seq, cutoffSeq))
          if (cutoffSeq <= prunedSeq || last === undefined) return 0
          yield tx
            .update(auditHead)
            .set({ prunedSeq: cutoffSeq, prunedHash: String(last.hash) })
            .where(eq(auditHead.id, HEAD_ID))
          yield tx.delete(audit).where(lte(audit.seq, cutoffSeq))
          return cutoffSeq - prunedSeq
        })
      }
      if (purged > 0 && purgeEntry !== undefined) {
        await serializedTransaction(lockTable, (tx) => appendEntries(tx, [purgeEntry]))
      }
      return purged
    }
  }
}

export type AuditLog = ReturnType<typeof createAuditLog>
