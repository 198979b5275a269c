import type { Mutation } from './mutation.ts'

const SHARES = 'test/limits/fair-share.test.ts'
const RATES = 'test/limits/rate-limit.test.ts'

/** Defences against callers who use up what all share. */
export const SHARE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'The next read is of the person with the most running ones',
    file: 'src/http/fair-gate.ts',
    find: 'a.running - b.running',
    replace: 'b.running - a.running',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'Any number of expensive reads run at once',
    file: 'src/http/fair-gate.ts',
    find: 'if (next === undefined || runningCount >= maxRunning) return',
    replace: 'if (next === undefined) return',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'Any number of reads of one person wait',
    file: 'src/http/fair-gate.ts',
    find: 'if (person.waiting.length >= maxWaiting && !hasStarted) {',
    replace: 'if (person.waiting.length === Infinity) {',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'A document is cut because other reads of its person wait',
    file: 'src/http/fair-gate.ts',
    find: 'if (person.waiting.length >= maxWaiting && !hasStarted) {',
    replace: 'if (person.waiting.length >= maxWaiting) {',
    test: 'test/api/whole-lists.test.ts',
    proves: ['T37']
  },
  {
    name: 'A read that fails keeps its place',
    file: 'src/http/fair-gate.ts',
    find: 'return await read()\n    } finally {\n',
    replace:
      'return await read()\n    } catch (error) {\n      runningCount++\n      throw error\n' +
      '    } finally {\n',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'A document that is left half-way is not closed',
    file: 'src/http/fair-gate.ts',
    find: '    await pieces.return(undefined)\n',
    replace: '',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'One user has any number of long polls',
    file: 'routes/changes/index.ts',
    find: 'const close = wait === 0 ? () => {} : app.fairShare.openPoll(ownerId)',
    replace: 'const close = () => {}',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'A long poll that has ended still counts',
    file: 'src/http/fair-gate.ts',
    find: '(counts.get(id) ?? 1) - 1',
    replace: '(counts.get(id) ?? 1) - 0',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'The long polls of all users count together',
    file: 'src/http/fair-gate.ts',
    find: 'const count = counts.get(id) ?? 0',
    replace: 'const count = [...counts.values()].reduce((sum, each) => sum + each, 0)',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'SYNC_FULL_COOLDOWN is ignored',
    file: 'src/sync/full-run-cooldown.ts',
    find: 'if (waitMs <= 0 || waitMs > fullCooldownMs) return',
    replace: 'if (waitMs <= Infinity) return',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'The cool-down of full runs has no end',
    file: 'src/sync/full-run-cooldown.ts',
    find: 'if (waitMs <= 0 || waitMs > fullCooldownMs) return',
    replace: 'if (last === undefined) return',
    test: SHARES,
    proves: ['T37']
  },
  {
    name: 'The next run is of the owner with the most active ones',
    file: 'src/sync/turns.ts',
    find: 'countActive(a.ownerId) - countActive(b.ownerId)',
    replace: 'countActive(b.ownerId) - countActive(a.ownerId)',
    test: 'test/sync/schedule-fairness.long.ts',
    proves: ['T37']
  },
  {
    name: 'A large copy keeps its slot while others wait',
    file: 'src/sync/turns.ts',
    find: 'return waiting.some(({ ownerId }) => !owners.has(ownerId))',
    replace: 'return waiting.length < 0 && owners.size === 0',
    test: 'test/limits/fair-share.long.ts',
    proves: ['T37']
  },
  {
    name: 'All service keys count as one caller',
    file: 'src/http/rate-limit-key.ts',
    find: "principal.kind === 'user' ? `user",
    replace: "principal.kind === 'key' ? 'key' : principal.kind === 'user' ? `user",
    test: RATES,
    proves: ['C10']
  },
  {
    name: 'Each address of an IPv6 network has a limit of its own',
    file: 'src/http/rate-limit-key.ts',
    find: '.slice(0, 4)',
    replace: '.slice(0, 8)',
    test: RATES,
    proves: ['C10']
  },
  {
    name: 'Wrong credentials are not counted',
    file: 'plugins/access.ts',
    find: '          await app.rateLimiter.countRefused(request, reply)\n',
    replace: '',
    test: RATES,
    proves: ['C10']
  },
  {
    name: 'Logins have the general limit',
    file: 'plugins/rate-limit.ts',
    find: "limitName === 'login' ? loginLimit : generalLimit",
    replace: 'generalLimit',
    test: RATES,
    proves: ['C10']
  },
  {
    name: 'Each call above the limit costs a statement',
    file: 'src/http/rate-limit-store.ts',
    find: 'if (total.count > max) {',
    replace: 'if (total.count === Infinity) {',
    test: 'test/limits/rate-limit-store.test.ts',
    proves: ['C10']
  },
  {
    name: 'Concurrent hits of one batch have the same count',
    file: 'src/http/rate-limit-store.ts',
    find: 'const count = total.count - position.laterHits',
    replace: 'const count = total.count',
    test: 'test/limits/rate-limit-store.test.ts',
    proves: ['C10']
  },
  {
    name: 'One user has any number of exports',
    file: 'plugins/fair-share.ts',
    find: 'const MAX_EXPORTS = 2',
    replace: 'const MAX_EXPORTS = 2_000',
    test: 'test/limits/fair-share.test.ts',
    proves: ['T37']
  }
]
