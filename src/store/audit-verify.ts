import type { AuditLog } from './repositories/audit-log.ts'
import { createChainVerifier } from './audit-chain.ts'

const BATCH_SIZE = 1_000
const EMPTY_CHAIN = { seq: 0, hash: '', prunedSeq: 0, prunedHash: '' }

/** @returns the first problem of the trail, or the number of intact rows, and the last of them */
export async function verifyAuditChain(
  audit: AuditLog
): Promise<{ problem: string } | { rows: number; seq: number; hash: string }> {
  const head = (await audit.getHead()) ?? EMPTY_CHAIN
  const verifier = createChainVerifier(head)
  let [rows, after] = [0, 0]
  while (true) {
    const entries = await audit.listEntriesAfter(after, BATCH_SIZE)
    for (const entry of entries) {
      // Appended after the head was read: left to the next verification. A row that even the
      // current head does not cover was inserted by hand, and is a problem.
      if (entry.seq > head.seq && ((await audit.getHead())?.seq ?? 0) >= entry.seq) continue
      const problem = verifier.verifyNext(entry)
      if (problem !== undefined) return { problem }
      rows++
    }
    after = entries.at(-1)?.seq ?? after
    if (entries.length < BATCH_SIZE) break
  }
  const problem = verifier.verifyEnd()
  return problem === undefined ? { rows, seq: head.seq, hash: head.hash } : { problem }
}
