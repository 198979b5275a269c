import type { AuditLog } from './repositories/audit-log.ts'
import type { Signer } from '../model/signer.ts'
import { createChainVerifier, type Anchor } from './audit-chain.ts'

const BATCH_SIZE = 1_000
const EMPTY_CHAIN = { seq: 0, hash: '', prunedSeq: 0, prunedHash: '', signature: '' }

/**
 * @param signer knows the key of every signed row
 * @param anchor an end of the chain that was stored elsewhere; the chain must continue it
 * @returns the first problem of the trail, or the number of intact rows, and the last of them
 */
export async function verifyAuditChain(
  audit: AuditLog,
  signer: Signer,
  anchor?: Anchor
): Promise<{ problem: string } | { rows: number; seq: number; hash: string }> {
  const head = (await audit.getHead()) ?? EMPTY_CHAIN
  const verifier = createChainVerifier(signer, head)
  let anchoredHash = head.prunedSeq === anchor?.count ? head.prunedHash : undefined
  let [rows, after] = [0, 0]
  while (true) {
    const entries = await audit.listEntriesAfter(after, BATCH_SIZE)
    for (const entry of entries) {
      // Appended after the head was read: left to the next verification. A row that even the
      // current head does not cover was inserted by hand, and is a problem.
      if (entry.seq > head.seq && ((await audit.getHead())?.seq ?? 0) >= entry.seq) continue
      const problem = verifier.verifyNext(entry)
      if (problem !== undefined) return { problem }
      if (entry.seq === anchor?.count) anchoredHash = entry.hash
      rows++
    }
    after = entries.at(-1)?.seq ?? after
    if (entries.length < BATCH_SIZE) break
  }
  const problem = verifier.verifyEnd() ?? compareWithAnchor()
  return problem === undefined ? { rows, seq: head.seq, hash: head.hash } : { problem }

  function compareWithAnchor(): string | undefined {
    if (anchor === undefined || anchor.count === 0 || anchoredHash === anchor.hash) return undefined
    if (anchor.count > head.seq) {
      return `The trail has ${head.seq} rows, and it had ${anchor.count}: it was cut or replaced.`
    }
    return anchoredHash === undefined
      ? `Row ${anchor.count} was purged: use the anchor of a later row.`
      : `Row ${anchor.count} differs from the anchor: the trail was replaced.`
  }
}
