import { createHash } from 'node:crypto'

/** What a row says. `at` in milliseconds since the epoch; `detail` is JSON. */
export interface Told {
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

export interface Link extends Told {
  hash: string
}

/** The ends of a chain: what the first row goes on from, and what the last row has to be. */
export interface Ends {
  seq: number
  hash: string
  cutSeq: number
  cutHash: string
}

/** The hash of a row, which holds the hash of the row before and with it all rows before. */
export function hashOf(
  before: string,
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
  }: Told
): string {
  return createHash('sha256')
    .update(
      JSON.stringify([
        before,
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
export function createVerifier({ seq, hash, cutSeq, cutHash }: Ends) {
  let last = { seq: cutSeq, hash: cutHash }

  return {
    /** @returns a sentence about the first row that is not as it was written, or is not there; undefined where all are good so far */
    next(row: Link): string | undefined {
      if (row.seq <= cutSeq) {
        return `Row ${row.seq} was put back, or inserted: what is up to row ${cutSeq} has been purged.`
      }
      if (row.seq > seq) {
        return `Row ${row.seq} was inserted: the last one that was written is ${seq}.`
      }
      if (row.seq !== last.seq + 1) {
        return `Row ${last.seq + 1} was removed: row ${row.seq} comes after row ${last.seq}.`
      }
      if (hashOf(last.hash, row) !== row.hash) {
        return `Row ${row.seq} was edited, or inserted in the place of another one: it does not go on from row ${last.seq}.`
      }
      last = row
      return undefined
    },

    /** To be asked behind the last row. */
    end(): string | undefined {
      if (last.seq < seq) {
        return `Row ${last.seq + 1} was removed: the last one that was written is ${seq}.`
      }
      return last.hash === hash ? undefined : `Row ${last.seq} was edited together with its hash.`
    }
  }
}
