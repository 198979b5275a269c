import { createHash } from 'node:crypto'

/** The content of one audit row. `at` is in milliseconds since the epoch; `detail` is JSON. */
export interface AuditRecord {
  seq: number
  at: number
  actor: string
  actorId: number | null
  actorName: string | null
  action: string
  userId: number | null
  connectionId: number | null
  product: string | null
  ip: string | null
  requestId: string | null
  detail: string | null
}

export interface ChainedEntry extends AuditRecord {
  hash: string
}

/**
 * Both ends of a chain: the last row (`seq`, `hash`), and the last row that a purge deleted
 * (`prunedSeq`, `prunedHash`; 0 and empty before the first purge). The first row is hashed with
 * `prunedHash`.
 */
export interface ChainHead {
  seq: number
  hash: string
  prunedSeq: number
  prunedHash: string
}

/** Hashes a row together with the previous row's hash, and so with all rows before it. */
export function hashEntry(
  previousHash: string,
  {
    seq,
    at,
    actor,
    actorId,
    actorName,
    action,
    userId,
    connectionId,
    product,
    ip,
    requestId,
    detail
  }: AuditRecord
): string {
  return createHash('sha256')
    .update(
      JSON.stringify([
        previousHash,
        seq,
        at,
        actor,
        actorId,
        actorName,
        action,
        userId,
        connectionId,
        product,
        ip,
        requestId,
        detail
      ])
    )
    .digest('base64url')
}

/** Verifies a chain row by row, in order. */
export function createChainVerifier({ seq, hash, prunedSeq, prunedHash }: ChainHead) {
  let last = { seq: prunedSeq, hash: prunedHash }

  return {
    /**
     * @returns a sentence about the first row that was changed or is missing; undefined while
     *   all rows are intact
     */
    verifyNext(row: ChainedEntry): string | undefined {
      if (row.seq <= prunedSeq) {
        return `Row ${row.seq} was restored or inserted: rows up to ${prunedSeq} were purged.`
      }
      if (row.seq > seq) {
        return `Row ${row.seq} was inserted: the last row written is ${seq}.`
      }
      if (row.seq !== last.seq + 1) {
        return `Row ${last.seq + 1} was removed: row ${row.seq} comes after row ${last.seq}.`
      }
      if (hashEntry(last.hash, row) !== row.hash) {
        return (
          `Row ${row.seq} was edited, or replaced another row: ` +
          `its hash does not continue row ${last.seq}.`
        )
      }
      last = row
      return undefined
    },

    /** Call it after the last row: checks that the chain ends where the head says. */
    verifyEnd(): string | undefined {
      if (last.seq < seq) {
        return `Row ${last.seq + 1} was removed: the last row written is ${seq}.`
      }
      return last.hash === hash ? undefined : `Row ${last.seq} was edited together with its hash.`
    }
  }
}
