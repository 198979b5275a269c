import { and, asc, desc, eq, gt, gte, lt, lte, sql } from 'drizzle-orm'
import type { Actor } from '../../lib/actor.ts'
import { createMissingKeyError } from '../../lib/missing-key.ts'
import type { Signer } from '../../model/signer.ts'
import type { ChainHead, ChainedEntry } from '../audit-chain.ts'
import { createAuditAppender, HEAD_ID, type AuditEntry } from './audit-append.ts'
import type { Database, Engine, RawRow, TransactionScript } from '../engine.ts'
import type { StateChange } from './connection-history.ts'

export { AUDIT_ACTIONS, type AuditEntry } from './audit-append.ts'

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

/** Rows deleted per transaction by a purge. */
const PURGE_BATCH_SIZE = 5_000

/**
 * The audit trail: a chain of rows, each signed together with the row before. Each row is appended
 * in the same transaction as the action it records.
 */
export function createAuditLog(
  engine: Engine,
  now: () => number,
  getActor: () => Actor,
  signer: Signer
) {
  const appender = createAuditAppender(engine, now, getActor, signer)
  const { headColumns, runAppending, observe } = appender
  const {
    db,
    tables: { audit, auditHead }
  } = engine

  /**
   * Runs a transaction and appends the entries it records: both or neither. Those that wait at the
   * same time share a commit. The lock of the chain is taken first, so no transaction waits for it
   * while holding other locks (which could deadlock).
   *
   * @param isIndependent as for `Engine.chainedTransaction`
   */
  async function runAudited<T>(script: AuditedTransaction<T>, isIndependent = false): Promise<T> {
    return await runAppending(function* (tx, _link, append) {
      const recordedEntries: AuditEntry[] = []
      const result = yield* script(tx, (...entries) => {
        recordedEntries.push(...entries)
      })
      return { result, anchor: yield* append(recordedEntries) }
    }, isIndependent)
  }

  return {
    runAudited,

    /**
     * Call it before anything that an audited write must follow, so that an instance that cannot
     * sign changes nothing.
     *
     * @throws AppError `vault_key_missing` if this instance lacks the current key
     */
    assertCanAppend(): void {
      if (!signer.hasKey(signer.keyId)) throw createMissingKeyError(signer.keyId)
    },

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

    observe,

    /**
     * Signs a trail that an earlier version wrote, once: its rows become the unsigned beginning of
     * the chain. Later calls append an entry only if `signedConnections` is above 0.
     *
     * @param isSignatureExpected whether the database has been used by a version that signs; an
     *   unsigned trail was then put there by somebody else, and the entry says so
     */
    async sign(signedConnections: number, isSignatureExpected: boolean): Promise<boolean> {
      return await runAppending(function* (_tx, { state }, append) {
        const { seq, hash, prunedSeq, prunedHash, stored } = state
        // What a transaction of the same commit has appended is signed with the commit.
        const isUnsigned =
          seq === (stored?.seq ?? 0) &&
          (stored?.signature ?? '') === '' &&
          (seq > 0 || isSignatureExpected)
        if (!isUnsigned && signedConnections === 0) return { result: false, anchor: undefined }
        const signedRows = isUnsigned
          ? { rows: seq - prunedSeq, through: prunedSeq, hash: prunedHash }
          : {}
        const entry: AuditEntry =
          isUnsigned && isSignatureExpected
            ? { action: 'audit_damaged', detail: { found: { seq, hash } } }
            : {
                action: 'rows_signed',
                detail: { ...signedRows, connections: signedConnections }
              }
        return { result: true, anchor: yield* append([entry], isUnsigned) }
      })
    },

    /**
     * Deletes rows older than `before` from the start of the chain and stores where it now
     * starts, so that the rest can still be verified. Each transaction that deletes rows appends
     * an entry about them.
     *
     * @param detail further details of these entries
     * @returns the number of deleted rows
     */
    async purge(before: Date, detail: Record<string, unknown> = {}): Promise<number> {
      let purged = 0
      for (
        let batchCount = PURGE_BATCH_SIZE;
        batchCount === PURGE_BATCH_SIZE;
        purged += batchCount
      ) {
        batchCount = await runAppending(function* (tx, link, append) {
          yield* appender.insertPending(link)
          const { seq, hash, prunedSeq, stored, foreignHeadEntry } = link.state
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
          if (
            cutoffSeq <= prunedSeq ||
            last === undefined ||
            stored === undefined ||
            foreignHeadEntry !== undefined
          ) {
            return { result: 0, anchor: undefined }
          }
          const prunedHash = String(last.hash)
          link.state = { ...link.state, prunedSeq: cutoffSeq, prunedHash }
          // Before the rows: a trigger keeps those that the head has not cut off.
          yield tx
            .update(auditHead)
            .set({ seq, hash, prunedSeq: cutoffSeq, prunedHash })
            .where(eq(auditHead.id, HEAD_ID))
          yield tx.delete(audit).where(lte(audit.seq, cutoffSeq))
          const rows = cutoffSeq - prunedSeq
          const entry: AuditEntry = {
            action: 'audit_purged',
            detail: { ...detail, rows, through: cutoffSeq, hash: prunedHash }
          }
          return { result: rows, anchor: yield* append([entry], true) }
        })
      }
      return purged
    }
  }
}

export type AuditLog = ReturnType<typeof createAuditLog>
