/** A change that breaks one defence, and the test that has to notice it. */
export interface Mutation {
  /** What the changed program does wrong. */
  name: string
  file: string
  /** Text that occurs exactly once in the file. */
  find: string
  replace: string
  /** A test file that fails with the change. */
  test: string
  /** The threats and promises (test/traceability/rows.ts) whose proof the test is. */
  proves?: readonly string[]
}
