import { createHash } from 'node:crypto'

/** What a row says. `at` in milliseconds since the epoch; `detail` is JSON. */
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

/** The ends of a chain: what the first row goes on from, and what the last row has to be. */
export interface ChainHead {
  seq: number
  hash: string
  prunedSeq: number
  prunedHash: string
}

/** The hash of a row, which holds the hash of the row before and with it all rows before. */
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

/** Follows a chain from one end to the other, in the order of its rows. */
export function createChainVerifier({ seq, hash, prunedSeq, prunedHash }: ChainHead) {
  let last = { seq: prunedSeq, hash: prunedHash }

  return {
    /** @returns a sentence about the first row that is not as it was written, or is not there; undefined where all are good so far */
    verifyNext(row: ChainedEntry): string | undefined {
      if (row.seq <= prunedSeq) {
        return `Row ${row.seq} was put back, or inserted: what is up to row ${prunedSeq} has been purged.`
      }
      if (row.seq > seq) {
        return `Row ${row.seq} was inserted: the last one that was written is ${seq}.`
      }
      if (row.seq !== last.seq + 1) {
        return `Row ${last.seq + 1} was removed: row ${row.seq} comes after row ${last.seq}.`
      }
      if (hashEntry(last.hash, row) !== row.hash) {
        return `Row ${row.seq} was edited, or inserted in the place of another one: it does not go on from row ${last.seq}.`
      }
      last = row
      return undefined
    },

    /** To be asked behind the last row. */
    verifyEnd(): string | undefined {
      if (last.seq < seq) {
        return `Row ${last.seq + 1} was removed: the last one that was written is ${seq}.`
      }
      return last.hash === hash ? undefined : `Row ${last.seq} was edited together with its hash.`
    }
  }
}
