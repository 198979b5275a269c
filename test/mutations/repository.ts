import type { Mutation } from './mutation.ts'

/** What the repository promises about itself, and about large values. */
export const REPOSITORY_MUTATIONS: readonly Mutation[] = [
  {
    name: 'The hash of Node in the bill of materials is another one',
    file: 'scripts/sbom.ts',
    find: ".replace('sha512-', '')",
    replace: ".replace('sha512', '')",
    test: 'test/repo/supply-chain.test.ts',
    proves: ['E10']
  },
  {
    name: 'A threat without a test is accepted',
    file: 'test/traceability/evaluate.ts',
    find: '!provedIds.has(id) && open === undefined',
    replace: 'false',
    test: 'test/repo/traceability.test.ts',
    proves: ['E12']
  },
  {
    name: 'A text of megabytes is serialised as one',
    file: 'src/http/json-parts.ts',
    find: 'const LONG_TEXT_LENGTH = 60_000',
    replace: 'const LONG_TEXT_LENGTH = Infinity',
    test: 'test/lib/json-parts.test.ts',
    proves: ['T33']
  }
]
