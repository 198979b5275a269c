import type { Mutation } from '../mutations/mutation.ts'
import type { TraceabilityRow } from './rows.ts'
import type { Proof } from './titles.ts'

/** Prefix of an `open` text that stands for a planned test. */
export const OPEN_PREFIX = 'No test yet'

/** The inconsistencies between rows, tests and mutations, one sentence each. */
export function findTraceabilityGaps(
  rows: readonly TraceabilityRow[],
  proofs: readonly Proof[],
  mutations: readonly Mutation[]
): string[] {
  const knownIds = new Set(rows.map(({ id }) => id))
  const provedIds = new Set(proofs.flatMap(({ ids }) => ids))
  const mutatedIds = new Set(mutations.flatMap(({ proves = [] }) => proves))
  return [
    ...rows
      .filter(
        ({ id, unmutated }) => provedIds.has(id) && mutatedIds.has(id) === (unmutated !== undefined)
      )
      .map(({ id, title, unmutated }) =>
        unmutated === undefined
          ? `${id} (${title}) has no mutation: add one to test/mutations that makes its test fail.`
          : `${id} has a mutation now: take "${unmutated}" out of test/traceability/rows.ts.`
      ),
    ...mutations.flatMap(({ name, test, proves = [] }) =>
      proves
        .filter((id) => !proofs.some((proof) => proof.file === test && proof.ids.includes(id)))
        .map((id) => `The mutation "${name}" names ${id}, which no title of ${test} carries.`)
    ),
    ...rows
      .filter(({ id }, i) => rows.findIndex((row) => row.id === id) !== i)
      .map(({ id }) => `${id} is there twice.`),
    ...rows
      .filter(({ id, open }) => !provedIds.has(id) && open === undefined)
      .map(
        ({ id, title }) =>
          `${id} (${title}) has no test: write one with the id in its title, or say in ` +
          'test/traceability/rows.ts what is open.'
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
