import type { Audit } from './repositories/audit-log.ts'
import { createVerifier } from './audit-chain.ts'

const AT_ONCE = 1_000
const EMPTY = { seq: 0, hash: '', cutSeq: 0, cutHash: '' }

/** @returns what is wrong with the trail first, or how many rows are as they were written, and the end of the chain */
export async function verify(
  audit: Audit
): Promise<{ problem: string } | { rows: number; seq: number; hash: string }> {
  const ends = (await audit.ends()) ?? EMPTY
  const verifier = createVerifier(ends)
  let [rows, after] = [0, 0]
  while (true) {
    const links = await audit.links(after, AT_ONCE)
    for (const link of links) {
      // What was added since the end was looked up is looked at the next time, if it goes on from there.
      if (link.seq > ends.seq && ((await audit.ends())?.seq ?? 0) >= link.seq) continue
      const problem = verifier.next(link)
      if (problem !== undefined) return { problem }
      rows++
    }
    after = links.at(-1)?.seq ?? after
    if (links.length < AT_ONCE) break
  }
  const problem = verifier.end()
  return problem === undefined ? { rows, seq: ends.seq, hash: ends.hash } : { problem }
}
