import { createHash } from 'node:crypto'
import { parseSigningKeyId, type Signer } from '../model/signer.ts'

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
export interface ChainEnds {
  seq: number
  hash: string
  prunedSeq: number
  prunedHash: string
}

/** The stored ends, and the service's signature of them. */
export interface ChainHead extends ChainEnds {
  signature: string
}

/** The end of a chain at some moment, to compare a later chain with: `count` rows were written. */
export interface Anchor {
  count: number
  hash: string
}

/** What a hash covers, in this order. */
const HASHED_FIELDS = [
  'seq',
  'at',
  'actor',
  'actorId',
  'actorName',
  'action',
  'userId',
  'connectionId',
  'product',
  'ip',
  'requestId',
  'detail'
] as const satisfies ReadonlyArray<keyof AuditRecord>

const serializeEntry = (previousHash: string, record: AuditRecord) =>
  JSON.stringify([previousHash, ...HASHED_FIELDS.map((name) => record[name])])

const serializeEnds = ({ seq, hash, prunedSeq, prunedHash }: ChainEnds) =>
  JSON.stringify([seq, hash, prunedSeq, prunedHash])

/** Signs a row together with the previous row's hash, and so with all rows before it. */
export function hashEntry(signer: Signer, previousHash: string, record: AuditRecord): string {
  return signer.sign('audit row', serializeEntry(previousHash, record))
}

export function signHead(signer: Signer, ends: ChainEnds): string {
  return signer.sign('audit head', serializeEnds(ends))
}

export function isHeadSigned(signer: Signer, { signature, ...ends }: ChainHead): boolean {
  return signer.isValid('audit head', serializeEnds(ends), signature)
}

/** How versions before the signatures hashed a row: anybody can compute it. */
function hashUnsignedEntry(previousHash: string, record: AuditRecord): string {
  return createHash('sha256').update(serializeEntry(previousHash, record)).digest('base64url')
}

/** Verifies a chain row by row, in order. */
export function createChainVerifier(signer: Signer, head: ChainHead) {
  const { seq, hash, prunedSeq, prunedHash } = head
  let last = { seq: prunedSeq, hash: prunedHash }
  let hasSignedRow = false
  let isPurgeNoted = prunedSeq === 0

  /** @returns why the row's own hash does not continue the chain */
  function verifyHash(row: ChainedEntry): string | undefined {
    const keyId = parseSigningKeyId(row.hash)
    if (keyId === undefined && hasSignedRow) {
      return `Row ${row.seq} was edited or inserted: it is not signed, and the rows before it are.`
    }
    if (keyId !== undefined && !signer.hasKey(keyId)) {
      return (
        `Row ${row.seq} is signed with the vault key "${keyId}", which is unknown. ` +
        'If this key existed, add it to VAULT_KEYS again; otherwise the row was edited.'
      )
    }
    const isIntact =
      keyId === undefined
        ? hashUnsignedEntry(last.hash, row) === row.hash
        : signer.isValid('audit row', serializeEntry(last.hash, row), row.hash)
    hasSignedRow ||= keyId !== undefined
    return isIntact
      ? undefined
      : `Row ${row.seq} was edited, or replaced another row: ` +
          `its hash does not continue row ${last.seq}.`
  }

  /** The service itself writes what it found: that the head was changed, and each purge. */
  function readNote({ seq, action, detail }: ChainedEntry): string | undefined {
    if (action === 'audit_damaged') {
      return `Row ${seq} says that the service found the end of the trail changed or missing.`
    }
    if (action === 'audit_unverified') {
      const { found } = JSON.parse(detail ?? '{}') as { found: ChainHead }
      return found.seq === last.seq && found.hash === last.hash && isHeadSigned(signer, found)
        ? undefined
        : `Row ${seq} says that an instance could not verify the end of the trail, and nor can these keys.`
    }
    if (action === 'audit_purged' || action === 'rows_signed') {
      const note = JSON.parse(detail ?? '{}') as { through?: number; hash?: string }
      isPurgeNoted ||= note.through === prunedSeq && note.hash === prunedHash
    }
    return undefined
  }

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
      const problem = verifyHash(row) ?? readNote(row)
      last = row
      return problem
    },

    /** Call it after the last row: checks that the chain ends where the signed head says. */
    verifyEnd(): string | undefined {
      if (last.seq < seq) {
        return `Row ${last.seq + 1} was removed: the last row written is ${seq}.`
      }
      if (last.hash !== hash) return `Row ${last.seq} was edited together with its hash.`
      if (seq === 0 && head.signature === '') return undefined
      if (!isHeadSigned(signer, head)) {
        return (
          `The end of the trail was changed: the service did not write that it has ${seq} rows, ` +
          `${prunedSeq} of them purged.`
        )
      }
      return isPurgeNoted
        ? undefined
        : `Rows up to ${prunedSeq} were deleted, and no entry says who purged them.`
    }
  }
}
