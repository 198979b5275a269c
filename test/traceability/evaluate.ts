import type { TraceabilityRow } from './rows.ts'
import type { Proof } from './titles.ts'

/** How an `open` begins that stands for a test which is still to come. */
export const OPEN_PREFIX = 'No test yet'

/** What is wrong between the rows and the tests, a sentence each; nothing, if all is well. */
export function findTraceabilityGaps(
  rows: readonly TraceabilityRow[],
  proofs: readonly Proof[]
): string[] {
  const knownIds = new Set(rows.map(({ id }) => id))
  const provedIds = new Set(proofs.flatMap(({ ids }) => ids))
  return [
    ...rows
      .filter(({ id }, i) => rows.findIndex((row) => row.id === id) !== i)
      .map(({ id }) => `${id} is there twice.`),
    ...rows
      .filter(({ id, open }) => !provedIds.has(id) && open === undefined)
      .map(
        ({ id, title }) =>
          `${id} (${title}) has no test: write one with the id in its title, or say in test/traceability/rows.ts what is open.`
      ),
    ...rows
      .filter(({ id, open }) => provedIds.has(id) && open?.startsWith(OPEN_PREFIX))
      .map(
        ({ id }) => `${id} has a test now: take "${OPEN_PREFIX}" out of test/traceability/rows.ts.`
      ),
    ...proofs.flatMap(({ file, title, ids }) =>
      ids
        .filter((id) => !knownIds.has(id))
        .map((id) => `${id} is in no table: ${file}, "${title}".`)
    )
  ]
}
