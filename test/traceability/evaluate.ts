import type { Row } from './rows.ts'
import type { Proof } from './titles.ts'

/** How an `open` begins that stands for a test which is still to come. */
export const NOT_YET = 'No test yet'

/** What is wrong between the rows and the tests, a sentence each; nothing, if all is well. */
export function judge(rows: readonly Row[], proofs: readonly Proof[]): string[] {
  const known = new Set(rows.map(({ id }) => id))
  const proved = new Set(proofs.flatMap(({ ids }) => ids))
  return [
    ...rows
      .filter(({ id }, i) => rows.findIndex((row) => row.id === id) !== i)
      .map(({ id }) => `${id} is there twice.`),
    ...rows
      .filter(({ id, open }) => !proved.has(id) && open === undefined)
      .map(
        ({ id, title }) =>
          `${id} (${title}) has no test: write one with the id in its title, or say in test/traceability/rows.ts what is open.`
      ),
    ...rows
      .filter(({ id, open }) => proved.has(id) && open?.startsWith(NOT_YET))
      .map(({ id }) => `${id} has a test now: take "${NOT_YET}" out of test/traceability/rows.ts.`),
    ...proofs.flatMap(({ file, title, ids }) =>
      ids.filter((id) => !known.has(id)).map((id) => `${id} is in no table: ${file}, "${title}".`)
    )
  ]
}
