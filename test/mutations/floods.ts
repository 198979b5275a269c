import type { Mutation } from './mutation.ts'

/** Defences against floods of requests, and against requests and answers without a size limit. */
export const FLOOD_MUTATIONS: readonly Mutation[] = [
  {
    name: 'Requests of closed connections are kept until their time is over',
    file: 'plugins/time-limit.ts',
    find: 'const hasClosed = request.raw.socket.destroyed',
    replace: 'const hasClosed = false as boolean',
    test: 'test/limits/time-limit.test.ts',
    proves: ['T34']
  },
  {
    name: 'One connection may send a hundred requests ahead',
    file: 'src/http/pipelining.ts',
    find: 'const MAX_PIPELINED_REQUESTS = 10\n',
    replace: 'const MAX_PIPELINED_REQUESTS = 100\n',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'The requests of one connection begin all at once',
    file: 'src/http/pipelining.ts',
    find: '  if (previous.writableFinished) {',
    replace: '  if (!previous.writableFinished || previous.writableFinished) {',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'Requests with an invalid path do not wait for the ones before them',
    file: 'src/app.ts',
    find: '      startInOrder(request.raw, reply.raw, () => {\n        sendProblem(',
    replace: '      setImmediate(() => {\n        sendProblem(',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'Without the overload limit, pipelined requests begin all at once',
    file: 'plugins/load-shedding.ts',
    find: '        startInOrder(request.raw, reply.raw, done)\n',
    replace: '        done()\n',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'One address may open any number of connections',
    file: 'src/http/connection-limit.ts',
    find: '    if (count >= maxPerAddress) {',
    replace: '    if (count >= maxPerAddress * 100) {',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'All clients behind a trusted proxy share the connections of one address',
    file: 'src/http/connection-limit.ts',
    find: ' || isExempt(remoteAddress)) return',
    replace: ') return',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'Connections without a request use all descriptors',
    file: 'src/http/connection-limit.ts',
    find: '      if (canClose(socket, since)) {',
    replace: '      if (examined < 0) {',
    test: 'test/limits/descriptors.load.ts'
  },
  {
    name: 'Each refused connection writes a log line',
    file: 'src/http/refusal-log.ts',
    find: '    if (performance.now() - lastLoggedAt < LOG_INTERVAL_MS) return\n',
    replace: '',
    test: 'test/limits/connection-limits.test.ts',
    proves: ['T32']
  },
  {
    name: 'A page of a list with bodies has any number of bytes',
    file: 'routes/items/lists.ts',
    find: 'const MAX_ANSWER_BYTES = 4 * 1024 * 1024\n',
    replace: 'const MAX_ANSWER_BYTES = Infinity\n',
    test: 'test/api/answer-bytes.test.ts',
    proves: ['T32']
  },
  {
    name: 'A page of the change feed has any number of bytes',
    file: 'routes/changes/index.ts',
    find: 'const MAX_ANSWER_BYTES = 4 * 1024 * 1024\n',
    replace: 'const MAX_ANSWER_BYTES = Infinity\n',
    test: 'test/api/answer-bytes.test.ts',
    proves: ['T32']
  },
  {
    name: 'A page that is full ends the change feed',
    file: 'routes/changes/index.ts',
    find: '    const more = pending.length > count\n',
    replace: '    const more = pending.length > limit\n',
    test: 'test/api/answer-bytes.test.ts',
    proves: ['T32']
  },
  {
    name: 'The size of an item is estimated without its body',
    file: 'src/store/repositories/item-lists.ts',
    find: "bytes: sumBytes(allColumns).as('bytes')",
    replace: "bytes: sumBytes(listedColumns).as('bytes')",
    test: 'test/api/answer-bytes.test.ts',
    proves: ['T32']
  },
  {
    name: 'A long body is cut in the middle of a character',
    file: 'src/http/slice-text.ts',
    find: '    if (/[\\uD800-\\uDBFF]/.test(text.charAt(end - 1))) end++\n',
    replace: '',
    test: 'test/lib/json-parts.test.ts',
    proves: ['T33']
  },
  {
    name: 'A long body loses what goes beyond one part',
    file: 'src/http/slice-text.ts',
    find: '; start < text.length; start = end) {',
    replace: '; end === 0; start = end) {',
    test: 'test/api/answer-bytes.test.ts',
    proves: ['T32']
  },
  {
    name: 'A body may have a megabyte',
    file: 'src/app.ts',
    find: 'const MAX_BODY_BYTES = 64 * 1024\n',
    replace: 'const MAX_BODY_BYTES = 1024 * 1024\n',
    test: 'test/api/raw.test.ts',
    proves: ['T32']
  },
  {
    name: 'The size limit of a body is one byte more',
    file: 'src/app.ts',
    find: '    bodyLimit: MAX_BODY_BYTES,',
    replace: '    bodyLimit: MAX_BODY_BYTES + 1,',
    test: 'test/api/problems.test.ts',
    proves: ['T32']
  },
  {
    name: 'A response that is too large for Atlassian is not asked for in smaller parts',
    file: 'src/providers/adaptive-pager.ts',
    find: "    (code === 'upstream_invalid_answer' && (status === undefined || status < 300))",
    replace: "    (code === 'upstream_invalid_answer' && false)",
    test: 'test/sync/answers-large-pages.test.ts'
  },
  {
    name: 'Abandoned logins accumulate',
    file: 'src/store/repositories/login-flows.ts',
    find: "      if (flow.quotaKey !== '') {",
    replace: "      if (flow.quotaKey === ' ') {",
    test: 'test/limits/open-logins.test.ts',
    proves: ['T34']
  },
  {
    name: 'A login in the middle of its exchange counts as abandoned',
    file: 'src/store/repositories/login-flows.ts',
    find: '    or(isNull(flows.claimedAt), isNotNull(flows.outcome))\n',
    replace: '',
    test: 'test/limits/open-logins.test.ts',
    proves: ['T34']
  },
  {
    name: 'The newest logins are dropped instead of the oldest',
    file: 'src/store/repositories/login-flows.ts',
    find: '.orderBy(desc(flows.expiresAt), desc(flows.stateHash))',
    replace: '.orderBy(flows.expiresAt, flows.stateHash)',
    test: 'test/limits/open-logins.test.ts',
    proves: ['T34']
  },
  {
    name: 'The logins of all users of a key count as those of one caller',
    file: 'src/http/rate-limit-key.ts',
    find: '{namedUser}`)',
    replace: '`)',
    test: 'test/limits/open-logins.test.ts',
    proves: ['T34']
  },
  {
    name: 'An interactive call waits as long as a sync',
    file: 'src/rate-budget/rate-budget.ts',
    find: 'const MAX_WAIT_MS = { interactive: 5_000,',
    replace: 'const MAX_WAIT_MS = { interactive: 10_000,',
    test: 'test/rate-budget/refusals.test.ts',
    proves: ['T35']
  },
  {
    name: 'Any number of calls to one endpoint of Atlassian run at once',
    file: 'src/rate-budget/priority-queue.ts',
    find: '  while (runningCount < maxConcurrent) {',
    replace: '  while (true) {',
    test: 'test/rate-budget/refusals.test.ts',
    proves: ['T35']
  },
  {
    name: 'A call that fails keeps its slot',
    file: 'src/rate-budget/rate-budget.ts',
    find: '          return response\n        } finally {\n          release()\n        }',
    replace:
      '          release()\n          return response\n        } finally {\n' +
      '          ledger.nextHourAt()\n        }',
    test: 'test/rate-budget/refusals.test.ts',
    proves: ['T35']
  },
  {
    name: 'All endpoints share the slots of one',
    file: 'src/rate-budget/rate-budget.ts',
    find: "    const endpoint = nameScopes(target).endpoint ?? ''",
    replace: "    const endpoint = nameScopes(target).app ?? ''",
    test: 'test/rate-budget/refusals.test.ts',
    proves: ['T35']
  }
]
