import type { Mutation } from './mutation.ts'

/** Defences against what Atlassian really answers (docs/reference/atlassian.md). */
export const ATLASSIAN_MUTATIONS: readonly Mutation[] = [
  {
    name: 'Missing items are deleted without a look-up',
    file: 'src/sync/detect-deletions.ts',
    find: '        ...goneIds,',
    replace: '        ...candidates.map(({ remoteId }) => remoteId),',
    test: 'test/sync/answers-deletions.test.ts'
  },
  {
    name: 'A look-up proves deletions although the listed neighbour is missing too',
    file: 'src/providers/look-up.ts',
    find: 'const isProof = control.every((id) => returnedIds.has(id))',
    replace: 'const isProof = true',
    test: 'test/sync/look-up.test.ts'
  },
  {
    name: 'No sample is requested one by one',
    file: 'src/providers/look-up.ts',
    find: 'const sampleGone = await filterAsync(sample, isGone)',
    replace: 'const sampleGone = [...sample]',
    test: 'test/sync/deletions.test.ts'
  },
  {
    name: 'Entries of issueErrors are ignored',
    file: 'src/providers/jira/issue-fetch.ts',
    find: 'const entries: unknown[] = Array.isArray(response.issueErrors) ? response.issueErrors : []',
    replace: 'const entries: unknown[] = []',
    test: 'test/sync/answers-deletions.test.ts'
  },
  {
    name: 'A search with warnings counts as complete',
    file: 'src/sync/listing-flaws.ts',
    find: "return flaw !== null && flaw !== 'undelivered'",
    replace: "return flaw !== null && flaw !== 'undelivered' && flaw !== 'truncated'",
    test: 'test/sync/answers-deletions.test.ts'
  },
  {
    name: 'A resumed listing forgets that it was incomplete',
    file: 'src/sync/listing-flaws.ts',
    find: '    flaw ??\n    found ??',
    replace: '    found ??',
    test: 'test/sync/answers-deletions.test.ts'
  },
  {
    name: 'A page that fails is not halved',
    file: 'src/providers/adaptive-pager.ts',
    find: 'else if (attempted === 1 || !isDivisibleFailure(error)) throw error',
    replace: 'else if (attempted > 0) throw error',
    test: 'test/sync/answers-large-pages.test.ts'
  },
  {
    name: 'A failure keeps pages small for good',
    file: 'src/providers/adaptive-pager.ts',
    find: 'size = Math.min(maxPageSize, size * 2)',
    replace: 'size = Math.min(maxPageSize, size)',
    test: 'test/sync/answers-large-pages.test.ts'
  },
  {
    name: 'A listing does not start again where a smaller page refuses its cursor',
    file: 'src/providers/adaptive-pager.ts',
    find: 'if (size === maxPageSize) return false',
    replace: 'if (size <= maxPageSize) return false',
    test: 'test/sync/answers-large-pages.test.ts'
  },
  {
    name: 'Items that failed are not retried',
    file: 'src/sync/incremental-sync.ts',
    find: 'if (retry.length > 0 && collection.fetch !== undefined) {',
    replace: 'if (retry.length < 0 && collection.fetch !== undefined) {',
    test: 'test/sync/answers-failing-items.test.ts'
  },
  {
    name: 'An empty live doc replaces the text before',
    file: 'src/providers/confluence/page-item.ts',
    find: '    item.body = row.body\n',
    replace: '',
    test: 'test/sync/answers-failing-items.test.ts'
  },
  {
    name: 'Cursors may repeat without end',
    file: 'src/providers/listing-guard.ts',
    find: "if (cursors.has(next)) return 'repeated'",
    replace: "if (cursors.size < 0) return 'repeated'",
    test: 'test/sync/answers-loops.test.ts'
  },
  {
    name: 'Empty pages may follow each other without end',
    file: 'src/providers/listing-guard.ts',
    find: "return emptyPageCount > MAX_EMPTY_PAGES ? 'empty_pages' : undefined",
    replace: 'return undefined',
    test: 'test/sync/answers-loops.test.ts'
  },
  {
    name: 'A run has no ceiling of calls',
    file: 'src/sync/call-ceiling.ts',
    find: 'if (++made <= allowed) return',
    replace: 'if (++made > 0) return',
    test: 'test/sync/answers-loops.test.ts'
  },
  {
    name: 'r=0 does not stop calls',
    file: 'src/rate-budget/policies.ts',
    find: "remaining: toCount(state?.get('r')),",
    replace: "remaining: toCount(state?.get('r')) || undefined,",
    test: 'test/rate-budget/headers.test.ts'
  },
  {
    name: 'Only policies with one fixed name are read',
    file: 'src/rate-budget/policies.ts',
    find: 'return [...new Set([...definitions.keys(), ...states.keys()])].map(',
    replace: 'return ["jira-quota-global-based"].map(',
    test: 'test/rate-budget/headers.test.ts'
  },
  {
    name: 'Calls are not spaced before the quota is used up',
    file: 'src/rate-budget/pacing.ts',
    find: 'return Math.max(0, quota.resetAt - now) / Math.max(1, availablePoints)',
    replace: 'return 0',
    test: 'test/rate-budget/pacing.test.ts'
  },
  {
    name: 'Projects and spaces are listed in every run',
    file: 'src/sync/copy-collection.ts',
    find: 'if (!isFull && !isUnlisted && isListedRecently) return false',
    replace: '',
    test: 'test/sync/listing-interval.test.ts'
  },
  {
    name: 'A project that turns up is not listed',
    file: 'src/sync/unlisted-parents.ts',
    find: 'if (keys.size > 0) unlistedParents.add(',
    replace: 'if (keys.size < 0) unlistedParents.add(',
    test: 'test/sync/listing-interval.test.ts'
  },
  {
    name: 'An answer to another account is believed',
    file: 'src/providers/token-check.ts',
    find: "return accounts.some((account) => account !== accountId) ? 'other_account' : undefined",
    replace: 'return undefined',
    test: 'test/connections/dead-token.test.ts'
  },
  {
    name: 'x-seraph-loginreason is ignored',
    file: 'src/providers/token-check.ts',
    find: "if (loginReasons.some((reason) => reason.toUpperCase() !== 'OK')) return 'login_reason'",
    replace: '',
    test: 'test/connections/dead-token.test.ts'
  },
  {
    name: 'An empty answer without the account header is believed',
    file: 'src/providers/token-check.ts',
    find: 'if (!isEmptyAnswer(response, identityEndpoint !== undefined)) return response',
    replace: 'if (response.status !== 0) return response',
    test: 'test/connections/dead-token.test.ts'
  },
  {
    name: 'A login without the base scopes asks for no refresh token',
    file: 'src/oauth/authorize-url.ts',
    find: 'return [...new Set([...selected, ...existing, ...BASE_SCOPES])]',
    replace: 'return [...new Set([...selected, ...existing])]',
    test: 'test/products/endpoints.test.ts'
  },
  {
    name: 'The overlap is read again after a dense import',
    file: 'src/sync/incremental-sync.ts',
    find: 'settledAt: isSettled ? watermark : checkpoint.settledAt',
    replace: 'settledAt: null',
    test: 'test/sync/dense-imports.test.ts'
  }
]
