import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  createChainVerifier,
  hashEntry,
  signHead,
  type AuditRecord,
  type ChainEnds,
  type ChainHead,
  type ChainedEntry
} from '../../src/store/audit-chain.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { pickByScale } from '../auth/helper.ts'
import { createTestSigner } from '../signatures.ts'

/** A trail as the database holds it. */
interface Trail {
  rows: ChainedEntry[]
  head: ChainHead
}

const SIGNER = createTestSigner(generateKeyEntry('k1'))
/** The key of somebody who has no key of the service. */
const FOREIGN_SIGNER = createTestSigner(generateKeyEntry('k1'))
const RUN_COUNT = pickByScale(400, 10_000)
const MAX_ROWS = 12

const signTrail = (signer: typeof SIGNER, rows: ChainedEntry[], ends: ChainEnds): Trail => ({
  rows,
  head: { ...ends, signature: signHead(signer, ends) }
})

/** Appends rows as the service does. */
function appendRows(
  records: AuditRecord[],
  { seq, hash }: Pick<ChainEnds, 'seq' | 'hash'>,
  signer = SIGNER
): ChainedEntry[] {
  let previous = hash
  return records.map((record, i) => {
    const row = { ...record, seq: seq + i + 1 }
    previous = hashEntry(signer, previous, row)
    return { ...row, hash: previous }
  })
}

const unsignedHash = (previous: string, { hash: _hash, ...row }: ChainedEntry) =>
  createHash('sha256')
    .update(
      JSON.stringify([
        previous,
        ...(
          [
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
          ] as const
        ).map((name) => row[name])
      ])
    )
    .digest('base64url')

const textOrNull = fc.option(fc.string({ maxLength: 6 }))
const idOrNull = fc.option(fc.nat(9))
const anyRecord: fc.Arbitrary<AuditRecord> = fc.record({
  seq: fc.constant(0),
  at: fc.nat(1_000),
  actor: fc.constantFrom('key', 'user', 'service'),
  actorId: idOrNull,
  actorName: textOrNull,
  action: fc.constantFrom('user_created', 'refreshed', 'disconnected'),
  userId: idOrNull,
  connectionId: idOrNull,
  product: textOrNull,
  ip: textOrNull,
  requestId: textOrNull,
  detail: fc.option(fc.constant('{}'))
})
const FIELDS = ['at', 'actor', 'actorId', 'actorName', 'action', 'userId', 'connectionId'] as const
const anyRecords = fc.array(anyRecord, { minLength: 2, maxLength: MAX_ROWS })

function buildTrail(records: AuditRecord[]): Trail {
  const rows = appendRows(records, { seq: 0, hash: '' })
  const { seq, hash } = rows.at(-1) as ChainedEntry
  return signTrail(SIGNER, rows, { seq, hash, prunedSeq: 0, prunedHash: '' })
}

function findProblem({ rows, head }: Trail): string | undefined {
  const verifier = createChainVerifier(SIGNER, head)
  for (const row of [...rows].sort((a, b) => a.seq - b.seq)) {
    const problem = verifier.verifyNext(row)
    if (problem !== undefined) return problem
  }
  return verifier.verifyEnd()
}

/** What somebody can do who can write every row and has no key. `i` and `j` are different rows. */
const TAMPERINGS: Record<string, (trail: Trail, i: number, j: number) => Trail> = {
  'removes a row': ({ rows, head }, i) => ({ rows: rows.filter((_, at) => at !== i), head }),
  'removes a row and moves the later ones up': ({ rows, head }, i) => {
    const left = rows
      .filter((_, at) => at !== i)
      .map((row, at) => ({ ...row, seq: at < i ? row.seq : row.seq - 1 }))
    return { rows: left, head: { ...head, seq: head.seq - 1, hash: left.at(-1)?.hash ?? '' } }
  },
  'swaps two rows': ({ rows, head }, i, j) => ({
    rows: rows.map((row, at) =>
      at === i || at === j ? { ...(rows[at === i ? j : i] as ChainedEntry), seq: row.seq } : row
    ),
    head
  }),
  'swaps the contents of two rows': ({ rows, head }, i, j) => ({
    rows: rows.map((row, at) =>
      at === i || at === j
        ? { ...(rows[at === i ? j : i] as ChainedEntry), seq: row.seq, hash: row.hash }
        : row
    ),
    head
  }),
  'repeats a row': ({ rows, head }, i) => ({
    rows: [...rows, { ...(rows[i] as ChainedEntry), seq: head.seq + 1 }],
    head: { ...head, seq: head.seq + 1, hash: rows[i]?.hash ?? '' }
  }),
  'cuts the end': ({ rows, head }, i) => ({ rows: rows.slice(0, i), head }),
  'cuts the end and rewrites the head': ({ rows, head }, i) => {
    const { seq, hash } = rows[Math.max(0, i - 1)] as ChainedEntry
    return { rows: rows.slice(0, seq), head: { ...head, seq, hash } }
  },
  'cuts the beginning and calls it a purge': ({ rows, head }, i) => {
    const { seq, hash } = rows[i] as ChainedEntry
    return { rows: rows.slice(seq), head: { ...head, prunedSeq: seq, prunedHash: hash } }
  },
  'removes everything': ({ head }) => ({ rows: [], head: { ...head, seq: 0, hash: '' } }),
  'hashes everything again, as versions without signatures did': ({ rows, head }, i) => {
    let previous = ''
    const rehashed = rows.map((row, at) => {
      const changed = { ...row, actorId: at === i ? 10 : row.actorId }
      previous = unsignedHash(previous, changed)
      return { ...changed, hash: previous }
    })
    return { rows: rehashed, head: { ...head, hash: previous } }
  },
  'hashes the end of the trail again': ({ rows, head }, i) => {
    let previous = rows[i - 1]?.hash ?? ''
    const rehashed = rows.map((row, at) => {
      if (at < i) return row
      previous = unsignedHash(previous, row)
      return { ...row, hash: previous }
    })
    return { rows: rehashed, head: { ...head, hash: previous } }
  },
  'signs everything again with another key of the same name': ({ rows, head }) => {
    const signed = appendRows(rows, { seq: 0, hash: '' }, FOREIGN_SIGNER)
    return signTrail(FOREIGN_SIGNER, signed, { ...head, hash: signed.at(-1)?.hash ?? '' })
  }
}

/** Fails with the smallest trail that contradicts the property. */
function assertProperty<Values extends unknown[]>(t: Test, property: fc.IProperty<Values>): void {
  t.doesNotThrow(() => {
    fc.assert(property, { numRuns: RUN_COUNT })
  })
}

t.test('T18 A trail that nobody changed verifies', async (t) => {
  assertProperty(
    t,
    fc.property(anyRecords, (records) => findProblem(buildTrail(records)) === undefined)
  )
})

for (const [what, tamper] of Object.entries(TAMPERINGS)) {
  t.test(`T18 Finds out that somebody without a vault key ${what}`, async (t) => {
    assertProperty(
      t,
      fc.property(anyRecords, fc.nat(), fc.nat(), (records, a, b) => {
        const trail = buildTrail(records)
        const i = a % records.length
        const j = (i + 1 + (b % (records.length - 1))) % records.length
        const changed = tamper(trail, i, j)
        // Swapping two equal rows, for example, changes nothing.
        fc.pre(JSON.stringify(changed) !== JSON.stringify(trail))
        return findProblem(changed) !== undefined
      })
    )
  })
}

t.test('T18 Finds every changed field of every row', async (t) => {
  assertProperty(
    t,
    fc.property(anyRecords, fc.nat(), anyRecord, (records, a, other) => {
      const { rows, head } = buildTrail(records)
      const i = a % rows.length
      return [...FIELDS, 'product', 'ip', 'requestId', 'detail', 'hash'].every((name) => {
        const value = name === 'hash' ? 'x' : other[name as (typeof FIELDS)[number]]
        const row = { ...rows[i], [name]: value } as ChainedEntry
        return (
          row[name as 'hash'] === rows[i]?.[name as 'hash'] ||
          findProblem({ rows: rows.map((each, at) => (at === i ? row : each)), head }) !== undefined
        )
      })
    })
  )
})

t.test(
  'T18 Finds a row that the service wrote at the same place in another history of the trail',
  async (t) => {
    assertProperty(
      t,
      fc.property(anyRecords, anyRecord, fc.nat(), (records, other, a) => {
        const i = a % (records.length - 1)
        const { rows, head } = buildTrail(records)
        const branch = buildTrail(records.map((record, at) => (at === i ? other : record)))
        fc.pre(JSON.stringify(branch.rows[i]) !== JSON.stringify(rows[i]))
        const mixed = rows.map((row, at) => (at === i ? (branch.rows[i] as ChainedEntry) : row))
        return findProblem({ rows: mixed, head }) !== undefined
      })
    )
  }
)

t.test('T18 The hash of a row depends on the row before', async (t) => {
  const [record] = fc.sample(anyRecord, 1)
  if (record === undefined) return
  t.not(hashEntry(SIGNER, 'one', record), hashEntry(SIGNER, 'another', record))
  t.equal(hashEntry(SIGNER, 'one', record), hashEntry(SIGNER, 'one', record))
})

t.test('T18 Finds a purge that no entry explains', async (t) => {
  const purge: AuditRecord = {
    ...(fc.sample(anyRecord, 1)[0] as AuditRecord),
    action: 'audit_purged',
    detail: JSON.stringify({ through: 2, hash: 'hash of row 2' })
  }
  const ends = { prunedSeq: 2, prunedHash: 'hash of row 2' }
  for (const [records, problem] of [
    [[purge], undefined],
    [[{ ...purge, action: 'refreshed' }], /no entry says who purged them/],
    [[{ ...purge, detail: JSON.stringify({ through: 1, hash: 'x' }) }], /no entry says/]
  ] as const) {
    const rows = appendRows([...records], { seq: 2, hash: ends.prunedHash })
    const { seq, hash } = rows[0] as ChainedEntry
    t.match(findProblem(signTrail(SIGNER, rows, { seq, hash, ...ends })), problem)
  }
})
