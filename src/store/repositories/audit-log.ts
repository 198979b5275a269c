import { and, asc, desc, eq, getTableName, gt, gte, lt, lte, sql } from 'drizzle-orm'
import { hashOf, type Ends, type Link } from '../audit-chain.ts'
import type { Actor } from '../../lib/actor.ts'
import type { Database, Engine, RawRow, Steps } from '../engine.ts'
import type { Change } from './connection-history.ts'

/** What is put down. */
export const ACTIONS = [
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
  'session_created',
  'session_opened',
  'vault_key_rotated',
  'data_exported',
  'account_closed',
  'audit_purged'
] as const
export type Action = (typeof ACTIONS)[number]

/** One thing that was done. `detail` must hold neither secrets nor anything of a person but numbers. */
export interface Entry {
  action: Action
  userId?: number
  connectionId?: number
  product?: string
  detail?: Record<string, unknown>
}

export interface AuditRow extends Omit<Link, 'at'> {
  at: Date
}
export interface AuditFilter {
  userId?: number | undefined
  action?: string | undefined
  since?: Date | undefined
}

/** A transaction that says what it does. */
type Telling<T> = (tx: Database, tell: (...entries: Entry[]) => void) => Steps<T>

const HEAD = 1
/** Rows that are purged at once. */
const PURGED_AT_ONCE = 5_000

/** The audit trail: a chain of rows to which is added in the very transaction that does what they tell of. */
export function audit(
  { db, tables: { audit, auditHead }, inTurn }: Engine,
  now: () => number,
  by: () => Actor
) {
  const ends = {
    seq: auditHead.seq,
    hash: auditHead.hash,
    cutSeq: auditHead.cutSeq,
    cutHash: auditHead.cutHash
  }

  const queue = getTableName(auditHead)

  /** The end of the chain, for those whose turn it is. */
  function* reading(tx: Database): Steps<Ends> {
    const [row] = yield tx
      .insert(auditHead)
      .values({ id: HEAD, seq: 0, hash: '', cutSeq: 0, cutHash: '' })
      .onConflictDoUpdate({ target: auditHead.id, set: { id: HEAD } })
      .returning(ends)
    if (row === undefined) throw new Error('The audit trail has no end')
    return {
      seq: Number(row.seq),
      hash: String(row.hash),
      cutSeq: Number(row.cut_seq),
      cutHash: String(row.cut_hash)
    }
  }

  /** Adds entries, or fails with the whole transaction. */
  function* recording(tx: Database, entries: readonly Entry[]): Steps<void> {
    if (entries.length === 0) return
    let { seq, hash } = yield* reading(tx)
    const { kind, id, name, ip, requestId } = by()
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
      hash = hashOf(hash, row)
      yield tx.insert(audit).values({ ...row, at: new Date(row.at), hash })
    }
    yield tx.update(auditHead).set({ seq, hash }).where(eq(auditHead.id, HEAD))
  }

  /**
   * Runs a transaction, and adds what it tells to the trail: both are done, or neither is. There is no other way to add anything, so
   * nobody can wait for the end of the chain while holding what those before them need.
   */
  async function inSteps<T>(steps: Telling<T>): Promise<T> {
    return await inTurn(queue, function* (tx) {
      const told: Entry[] = []
      const result = yield* steps(tx, (...entries) => {
        told.push(...entries)
      })
      yield* recording(tx, told)
      return result
    })
  }

  return {
    inSteps,

    /** Adds what changes nothing else in the database. */
    async note(entry: Entry): Promise<void> {
      await inSteps(function* (_tx, tell): Steps<void> {
        tell(entry)
      })
    },

    /** What is to be told of changes of connections' states; that a new one has a state goes without saying. */
    changed: (changes: readonly Change[]): Entry[] =>
      changes
        .filter(({ from }) => from !== null)
        .map(({ connectionId, userId, provider, from, to, code }) => ({
          action: 'state_changed',
          userId,
          connectionId,
          product: provider,
          detail: { from, to, code }
        })),

    /** An exchange of tokens, one row of it however many connections live of them: its user and product are named where there is one. */
    refreshed(connections: RawRow[]): Entry {
      const [first, ...others] = connections
      const isOfOne = others.every(({ user_id: id }) => id === first?.user_id)
      return {
        action: 'refreshed',
        ...(first === undefined || !isOfOne ? {} : { userId: Number(first.user_id) }),
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

    /** The ends of the chain; undefined where nothing was ever written. */
    async ends(): Promise<Ends | undefined> {
      return (await db.select(ends).from(auditHead).where(eq(auditHead.id, HEAD)))[0]
    },

    /** In the order of the chain, behind the row `after`. */
    async links(after: number, limit: number): Promise<Link[]> {
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
     * Forgets what is older than `before`, from the beginning of the chain; where it begins now is remembered, so that what is left can
     * still be followed. `note` is added to the chain where anything went.
     *
     * @returns how many rows went
     */
    async purge(before: Date, note?: Entry): Promise<number> {
      let purged = 0
      for (let some = PURGED_AT_ONCE; some === PURGED_AT_ONCE; purged += some) {
        some = await inTurn(queue, function* (tx) {
          const { seq, cutSeq } = yield* reading(tx)
          const [kept] = yield tx
            .select({ seq: sql`min(${audit.seq})`.as('seq') })
            .from(audit)
            .where(gte(audit.at, before))
          const cut = Math.min(
            cutSeq + PURGED_AT_ONCE,
            kept?.seq == null ? seq : Number(kept.seq) - 1
          )
          const [last] = yield tx.select({ hash: audit.hash }).from(audit).where(eq(audit.seq, cut))
          if (cut <= cutSeq || last === undefined) return 0
          yield tx
            .update(auditHead)
            .set({ cutSeq: cut, cutHash: String(last.hash) })
            .where(eq(auditHead.id, HEAD))
          yield tx.delete(audit).where(lte(audit.seq, cut))
          return cut - cutSeq
        })
      }
      if (purged > 0 && note !== undefined) await inTurn(queue, (tx) => recording(tx, [note]))
      return purged
    }
  }
}

export type Audit = ReturnType<typeof audit>
