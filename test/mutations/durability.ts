import type { Mutation } from './mutation.ts'

/** Defences of stored data: against crashes, outages, locks, wrong clocks and old backups. */
export const DURABILITY_MUTATIONS: readonly Mutation[] = [
  {
    name: 'A write is acknowledged half a second before it is committed',
    file: 'src/store/sqlite/group-commit.ts',
    find:
      "  const begin = client.prepare('begin immediate')\n" +
      "  const commit = client.prepare('commit')\n",
    replace:
      "  const begin = { run: () => client.inTransaction || client.exec('begin immediate') }\n" +
      "  const end = () => client.inTransaction && client.exec('commit')\n" +
      '  const commit = { run: () => setTimeout(end, 500) }\n',
    test: 'test/process/crash.long.ts',
    proves: ['D1']
  },
  {
    name: 'Commits are not synced to the disk one by one',
    file: 'src/store/sqlite/engine.ts',
    find: "client.pragma('synchronous = FULL')",
    replace: "client.pragma('synchronous = NORMAL')",
    test: 'test/store/sqlite.long.ts',
    proves: ['D2']
  },
  {
    name: 'A write that fails leaves what it wrote to those that share its commit',
    file: 'src/store/sqlite/group-commit.ts',
    find: '          rollbackUnit.run()\n',
    replace: '',
    test: 'test/store/sqlite.long.ts',
    proves: ['D2']
  },
  {
    name: 'A write that fails on PostgreSQL leaves a gap in the audit trail',
    file: 'src/store/postgres/chained-transactions.ts',
    find: '      link.state = state\n',
    replace: '',
    test: 'test/store/postgres.long.ts',
    proves: ['D2']
  },
  {
    name: 'A write that fails on PostgreSQL undoes those that share its commit',
    file: 'src/store/postgres/chained-transactions.ts',
    find: 'if (hasFailedUnit && units.length > 1) {',
    replace: 'if (hasFailedUnit && units.length < 1) {',
    test: 'test/store/postgres.long.ts',
    proves: ['D2']
  },
  {
    name: 'Two requests that create one user at a time conflict',
    file: 'src/store/repositories/users.ts',
    find: '      .onConflictDoNothing({ target: users.emailKey })\n',
    replace: '',
    test: 'test/multi-instance/owners.long.ts',
    proves: ['D4']
  },
  {
    name: 'Addresses are compared with their case',
    file: 'src/store/repositories/users.ts',
    find: "return email.normalize('NFC').toLowerCase()",
    replace: "return email.normalize('NFC')",
    test: 'test/api/concurrent.long.ts',
    proves: ['D4']
  },
  {
    name: 'The driver blocks the process while it waits for a lock',
    file: 'src/store/sqlite/engine.ts',
    find: 'const BUSY_TIMEOUT_MS = 0\n',
    replace: 'const BUSY_TIMEOUT_MS = 5_000\n',
    test: 'test/api/concurrent.long.ts',
    proves: ['D5']
  },
  {
    name: 'A write does not wait for the lock of another process',
    file: 'src/store/sqlite/engine.ts',
    find: 'const WRITE_TIMEOUT_MS = 3_000\n',
    replace: 'const WRITE_TIMEOUT_MS = 0\n',
    test: 'test/api/concurrent.long.ts',
    proves: ['D5']
  },
  {
    name: 'A server that refuses connections counts as a bug',
    file: 'src/store/postgres/pool.ts',
    find: '  /^(08|57P0|53|25006|26000|42P05)|ECONN|EPIPE|',
    replace: '  /^(08|57P0|53|25006|26000|42P05)|EPIPE|',
    test: 'test/multi-instance/postgres-outage.long.ts',
    proves: ['D7']
  },
  {
    name: 'An interrupted listing starts again from its first page',
    file: 'src/sync/full-listing.ts',
    find: '    previous.cursor !== null &&\n    previous.bodyMode',
    replace: '    false &&\n    previous.bodyMode',
    test: 'test/sync/crash.long.ts',
    proves: ['D9']
  },
  {
    name: 'A backup overwrites a file',
    file: 'src/store/admin/backup.ts',
    find: '    if (existsSync(to)) {',
    replace: '    if (existsSync(to) && to === partialFile) {',
    test: 'test/store/admin/backup.long.ts',
    proves: ['D11']
  },
  {
    name: 'A backup is not verified',
    file: 'src/store/admin/backup.ts',
    find: '      verifyIntegrity(partialFile, DAMAGED_MESSAGE)\n',
    replace: '',
    test: 'test/store/admin/backup.long.ts',
    proves: ['D11']
  },
  {
    name: 'A refresh token that Atlassian rejects is tried again and again',
    file: 'src/grants/refresh-policy.ts',
    find: "return { to: 'needs_reconnect', isAmbiguous: false }",
    replace: "return { to: 'degraded', isAmbiguous: false }",
    test: 'test/grants/crash.long.ts',
    proves: ['D12']
  },
  {
    name: 'The service migrates the tables of a newer version',
    file: 'src/store/sqlite/engine.ts',
    find: '    if ((latestApplied ?? 0) > LATEST_MIGRATION) throw',
    replace: '    if ((latestApplied ?? 0) < 0) throw',
    test: 'test/store/admin/migrate.long.ts',
    proves: ['D13']
  },
  {
    name: 'Instances that start together migrate at the same time',
    file: 'src/store/postgres/migrate.ts',
    find: '    if (autoMigrate) await client.query(',
    replace: '    if (!autoMigrate) await client.query(',
    test: 'test/store/admin/migrate.long.ts',
    proves: ['D13']
  }
]
