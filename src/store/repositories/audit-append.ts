import { eq, getTableColumns, getTableName, sql } from 'drizzle-orm'
import { SERVICE_ACTOR, type Actor } from '../../lib/actor.ts'
import { isSameHash } from '../../lib/secret.ts'
import { parseSigningKeyId, type Signer } from '../../model/signer.ts'
import {
  hashEntry,
  isHeadSigned,
  signHead,
  type Anchor,
  type AuditRecord,
  type ChainEnds,
  type ChainHead
} from '../audit-chain.ts'
import {
  rowPlaceholder,
  type ChainLink,
  type Database,
  type Engine,
  type SharedChain,
  type Statement,
  type TransactionScript
} from '../engine.ts'
import { createRowMapper, toPlaceholders } from '../row-mapper.ts'

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
  'vault_key_promoted',
  'vault_key_given_up',
  'data_exported',
  'account_closed',
  'audit_purged',
  'audit_damaged',
  'audit_unverified',
  'rows_signed',
  'database_restored'
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

export const HEAD_ID = 1
const EMPTY_HEAD: ChainHead = { seq: 0, hash: '', prunedSeq: 0, prunedHash: '', signature: '' }

/** The chain while transactions that share a commit append to it: its ends, and its stored head. */
export interface OpenChain extends ChainEnds {
  /** The head when it was read; undefined if there was none. */
  stored: ChainHead | undefined
  /** What to append first, if somebody else wrote the stored head. */
  foreignHeadEntry: AuditEntry | undefined
  /** The rows that are inserted with the head, if nobody needs them before. */
  pendingRows: readonly ChainedRow[]
}

type ChainedRow = AuditRecord & { hash: string }

/** Rows per statement: few sizes, so that each is prepared. */
const INSERT_SIZES = [8, 4, 2, 1]

/**
 * Appends entries, or fails with the whole transaction.
 *
 * @param isHeadTrusted the caller has checked the head
 * @returns where the entries end
 */
type AppendEntries = (
  entries: readonly AuditEntry[],
  isHeadTrusted?: boolean
) => TransactionScript<Anchor | undefined>

/** A transaction that appends to the chain. */
type AppendingScript<T> = (
  tx: Database,
  link: ChainLink<OpenChain>,
  append: AppendEntries
) => TransactionScript<{ result: T; anchor: Anchor | undefined }>

/** Appends to the audit trail: one writer at a time, whatever the process. */
export function createAuditAppender(
  { db, tables: { audit, auditHead }, prepare, chainedTransaction }: Engine,
  now: () => number,
  getActor: () => Actor,
  signer: Signer
) {
  const headColumns = {
    seq: auditHead.seq,
    hash: auditHead.hash,
    prunedSeq: auditHead.prunedSeq,
    prunedHash: auditHead.prunedHash,
    signature: auditHead.signature
  }
  const toHead = createRowMapper(headColumns)
  const selectHead = prepare(
    db.select(headColumns).from(auditHead).where(eq(auditHead.id, HEAD_ID))
  )
  const headPlaceholders = toPlaceholders(headColumns)
  const insertHead = prepare(db.insert(auditHead).values({ id: HEAD_ID, ...headPlaceholders }))
  const updateHead = prepare(
    db.update(auditHead).set(headPlaceholders).where(eq(auditHead.id, HEAD_ID))
  )
  const rowColumns = Object.keys(getTableColumns(audit))
  const insertsBySize = INSERT_SIZES.map((size) => {
    const rows = Array.from({ length: size }, (_, i) =>
      Object.fromEntries(rowColumns.map((name) => [name, sql.placeholder(rowPlaceholder(i, name))]))
    )
    return { size, insert: prepare(db.insert(audit).values(rows as never)) }
  })

  /** The end of the chain that this process wrote last. */
  let latest: Anchor = { count: 0, hash: '' }
  let onAppended: (anchor: Anchor) => void = () => {}

  /** The caller of both holds the lock of the chain. */
  const chain: SharedChain<OpenChain> = {
    lockTable: getTableName(auditHead),

    *open() {
      const [row] = yield selectHead.bind({})
      const stored = row === undefined ? undefined : toHead(row)
      const { signature, ...ends } = stored ?? EMPTY_HEAD
      return {
        ...ends,
        stored,
        foreignHeadEntry: describeForeignHead({ ...ends, signature }),
        pendingRows: []
      }
    },

    close({ stored, seq, hash, prunedSeq, prunedHash, pendingRows }) {
      if (seq === (stored?.seq ?? 0)) return []
      const ends = { seq, hash, prunedSeq, prunedHash }
      const writeHead = stored === undefined ? insertHead : updateHead
      return [
        ...bindInserts(pendingRows),
        writeHead.bind({ ...ends, signature: signHead(signer, ends) })
      ]
    }
  }

  function bindInserts(rows: readonly ChainedRow[]): Statement[] {
    const statements: Statement[] = []
    let count = 0
    for (const { size, insert } of insertsBySize) {
      for (; rows.length - count >= size; count += size) {
        statements.push(insert.bindRows(rows.slice(count, count + size).map((row) => ({ ...row }))))
      }
    }
    return statements
  }

  /**
   * Appending to a head that somebody else wrote would sign what they wrote, so an entry about it
   * comes first. undefined: the head is as the service left it.
   */
  function describeForeignHead(head: ChainHead): AuditEntry | undefined {
    if (isRolledBack(head)) {
      return { action: 'audit_damaged', detail: { found: head, expected: latest } }
    }
    if ((head.seq === 0 && head.signature === '') || isHeadSigned(signer, head)) return undefined
    const keyId = parseSigningKeyId(head.signature)
    return keyId === undefined || signer.hasKey(keyId)
      ? { action: 'audit_damaged', detail: { found: head } }
      : // Another instance may have a newer key: whoever has all keys can verify this head.
        { action: 'audit_unverified', detail: { found: head } }
  }

  const isRolledBack = ({ seq, hash }: ChainEnds) =>
    seq < latest.count || (seq === latest.count && !isSameHash(hash, latest.hash))

  /** @param actor who gets the entries; asked before, because transactions run for one another */
  function* appendEntries(
    link: ChainLink<OpenChain>,
    actor: Actor,
    entries: readonly AuditEntry[],
    isHeadTrusted = false
  ): TransactionScript<Anchor | undefined> {
    if (entries.length === 0) return undefined
    let { seq, hash } = link.state
    const pendingRows = [...link.state.pendingRows]
    const addEntry = (entry: AuditEntry, by: Actor) => {
      const row = toRecord(++seq, entry, by)
      hash = hashEntry(signer, hash, row)
      pendingRows.push({ ...row, hash })
    }
    const note = isHeadTrusted ? undefined : link.state.foreignHeadEntry
    if (note !== undefined) addEntry(note, SERVICE_ACTOR)
    for (const entry of entries) addEntry(entry, actor)
    link.state = { ...link.state, seq, hash, pendingRows, foreignHeadEntry: undefined }
    return { count: seq, hash }
  }

  const toRecord = (
    seq: number,
    { action, userId, connectionId, product, detail }: AuditEntry,
    { kind, id, name, ip, requestId }: Actor
  ): AuditRecord => ({
    seq,
    // Whole milliseconds, whatever the clock gives: the hash covers what is stored.
    at: Math.trunc(now()),
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
  })

  /** Runs a transaction that appends to the chain, and announces the new end. */
  async function runAppending<T>(script: AppendingScript<T>, isIndependent = false): Promise<T> {
    const actor = getActor()
    const { result, anchor } = await chainedTransaction(
      chain,
      (tx, link: ChainLink<OpenChain>) =>
        script(tx, link, (entries, isHeadTrusted) =>
          appendEntries(link, actor, entries, isHeadTrusted)
        ),
      isIndependent
    )
    if (anchor !== undefined) {
      if (anchor.count > latest.count) latest = anchor
      actor.onAudited?.(anchor.count)
      onAppended(anchor)
    }
    return result
  }

  return {
    headColumns,
    runAppending,

    /** Inserts what other transactions of the same commit have appended, for one that reads the rows. */
    *insertPending(link: ChainLink<OpenChain>): TransactionScript<void> {
      for (const statement of bindInserts(link.state.pendingRows)) yield statement
      link.state = { ...link.state, pendingRows: [] }
    },

    /** Sets who learns of each new end of the chain, after its transaction. */
    observe(observer: (anchor: Anchor) => void): void {
      onAppended = observer
    }
  }
}
