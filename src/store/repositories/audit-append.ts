import { eq, getTableName } from 'drizzle-orm'
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
import type { Database, Engine, TransactionScript } from '../engine.ts'

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
const EMPTY_ENDS: ChainEnds = { seq: 0, hash: '', prunedSeq: 0, prunedHash: '' }
/** Appends to the audit trail: one writer at a time, whatever the process. */
export function createAuditAppender(
  { tables: { audit, auditHead }, serializedTransaction }: Engine,
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

  const lockTable = getTableName(auditHead)
  /** The end of the chain that this process wrote last. */
  let latest: Anchor = { count: 0, hash: '' }
  let onAppended: (anchor: Anchor) => void = () => {}

  /** Reads the head of the chain, creating it first; the caller holds the chain's lock. */
  function* lockHead(tx: Database): TransactionScript<ChainHead> {
    const [row] = yield tx
      .update(auditHead)
      .set({ id: HEAD_ID })
      .where(eq(auditHead.id, HEAD_ID))
      .returning(headColumns)
    if (row === undefined) {
      yield tx.insert(auditHead).values({ id: HEAD_ID, ...EMPTY_ENDS, signature: '' })
      return { ...EMPTY_ENDS, signature: '' }
    }
    return {
      seq: Number(row.seq),
      hash: String(row.hash),
      prunedSeq: Number(row[auditHead.prunedSeq.name]),
      prunedHash: String(row[auditHead.prunedHash.name]),
      signature: String(row.signature)
    }
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

  /**
   * Appends entries, or fails with the whole transaction.
   *
   * @param isHeadTrusted the caller has checked the head
   */
  function* appendEntries(
    tx: Database,
    entries: readonly AuditEntry[],
    isHeadTrusted = false
  ): TransactionScript<Anchor | undefined> {
    if (entries.length === 0) return undefined
    const head = yield* lockHead(tx)
    const { prunedSeq, prunedHash } = head
    let { seq, hash } = head
    function* insertEntry(entry: AuditEntry, actor: Actor): TransactionScript<void> {
      const row = toRecord(++seq, entry, actor)
      hash = hashEntry(signer, hash, row)
      yield tx.insert(audit).values({ ...row, at: new Date(row.at), hash })
    }
    const note = isHeadTrusted ? undefined : describeForeignHead(head)
    if (note !== undefined) yield* insertEntry(note, SERVICE_ACTOR)
    for (const entry of entries) yield* insertEntry(entry, getActor())
    const signature = signHead(signer, { seq, hash, prunedSeq, prunedHash })
    yield tx.update(auditHead).set({ seq, hash, signature }).where(eq(auditHead.id, HEAD_ID))
    return { count: seq, hash }
  }

  const toRecord = (
    seq: number,
    { action, userId, connectionId, product, detail }: AuditEntry,
    { kind, id, name, ip, requestId }: Actor
  ): AuditRecord => ({
    seq,
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
  })

  /** Runs a transaction that appends under the chain's lock, and announces the new end. */
  async function runAppending<T>(
    script: (tx: Database) => TransactionScript<{ result: T; anchor: Anchor | undefined }>
  ): Promise<T> {
    const { result, anchor } = await serializedTransaction(lockTable, script)
    if (anchor !== undefined) {
      if (anchor.count > latest.count) latest = anchor
      getActor().onAudited?.(anchor.count)
      onAppended(anchor)
    }
    return result
  }

  return {
    headColumns,
    lockHead,
    describeForeignHead,
    appendEntries,
    runAppending,

    /** Sets who learns of each new end of the chain, after its transaction. */
    observe(observer: (anchor: Anchor) => void): void {
      onAppended = observer
    }
  }
}
