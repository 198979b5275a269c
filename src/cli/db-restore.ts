import { existsSync, statSync } from 'node:fs'
import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { EXIT_CODES, UsageError } from './exit.ts'
import { withVault, type StoreSettings } from './operator.ts'
import { isDatabaseUrl } from '../config/formats.ts'
import { loadStoreSettings } from '../config/load.ts'
import { createAuditSigner } from '../grants/signing-keys.ts'
import { StartError } from '../lib/errors.ts'
import { formatNumber } from '../lib/formats.ts'
import { isSqliteUrl, loadRawDatabaseModule } from '../store/admin/open-raw-database.ts'
import { verifyAuditChain } from '../store/audit-verify.ts'
import {
  COPY_MARKER_TABLE,
  INCOMPLETE_COPY_MESSAGE,
  NEWER_VERSION_MESSAGE
} from '../store/engine.ts'
import { createFeedEpoch } from '../store/repositories/service-state.ts'

const IN_USE_MESSAGE = 'A service is using the database. Stop every instance first.'
const NEXT_STEPS =
  'Every cursor of the change feed that was issued before has expired (410): readers start over.\n' +
  'Next: start the service, and check that GET /readyz answers 200. Connections whose tokens were\n' +
  'refreshed after the backup may need their person to connect again (docs/operations/restore.md).'

export const restoreDatabaseCommand = defineCommand({
  description:
    'Put a backup in place of the SQLite database, while the service is stopped. The backup is\n' +
    'checked first (integrity, version, vault keys, audit trail), and the old file is kept. With\n' +
    '--restored, check a database that was restored by other means, such as pg_restore. Both end\n' +
    'every older cursor of the change feed (docs/operations/restore.md).',
  options: {
    from: { flags: '--from <file>', description: 'The backup, which is only read. SQLite only.' },
    restored: {
      flags: '--restored',
      description: 'The database is already restored: check it and start a new change feed.'
    },
    to: {
      flags: '--to <address>',
      description: 'The database. Default: INTEGRATION_DB_URL.',
      rule: 'must be sqlite:///path, sqlite:////absolute/path or postgres://host/database',
      parse: (text) => (isDatabaseUrl(text) ? text : undefined)
    },
    json: JSON_OPTION
  },
  examples: [
    ['--from backup-2026-01-31.db', 'Restore the SQLite database of INTEGRATION_DB_URL.'],
    ['--restored', 'After pg_restore.']
  ],
  usesDatabase: true,
  async run({ from, restored, to, json }) {
    if ((from === undefined) !== restored) {
      throw new UsageError('Give either --from or --restored. Run `connector db restore --help`.')
    }
    const settings = await loadStoreSettings(process.env)
    const databaseUrl = to ?? settings.databaseUrl
    const name = to === undefined ? 'INTEGRATION_DB_URL' : '--to'
    if (from === undefined) {
      await assertUnused(databaseUrl, name)
      const report = await finishRestore({ ...settings, databaseUrl }, name)
      return printResult(json, report, `${describe(report)}\n${NEXT_STEPS}`)
    }
    if (!isSqliteUrl(databaseUrl)) {
      throw new UsageError(
        'Restore a PostgreSQL database with pg_restore, then run `connector db restore --restored`.'
      )
    }
    const { file, kept, report } = await restoreFile({ ...settings, databaseUrl }, from, name)
    printResult(
      json,
      { file, kept: kept ?? null, ...report },
      [
        `${file} is restored from ${from}: ${(statSync(file).size / 1e6).toFixed(1)} MB.`,
        describe(report),
        ...(kept === undefined ? [] : [`The previous database is kept: ${kept}`]),
        NEXT_STEPS
      ].join('\n')
    )
  }
})

interface RestoreReport {
  migrations_applied: number
  audit_entries: number
  audit_problem: string | null
  feed_epoch: number
}

async function restoreFile(settings: StoreSettings, from: string, name: string) {
  const { requireDatabaseFile } = await import('../store/admin/raw-sqlite.ts')
  const { copyBackup, isSameFile, lockTarget, removeCopy, replaceDatabase } =
    await import('../store/admin/restore.ts')
  const file = requireDatabaseFile(settings.databaseUrl, name)
  if (isSameFile(from, file)) throw new UsageError('--from names the database itself.')
  const target = lockTarget(file, name)
  try {
    const copy = await copyBackup(from, file)
    try {
      const report = await finishRestore(
        { ...settings, databaseUrl: `sqlite:///${copy}` },
        '--from'
      )
      target.complete()
      return { file, kept: replaceDatabase(copy, file), report }
    } finally {
      removeCopy(copy)
    }
  } finally {
    target.release()
  }
}

async function assertUnused(url: string, name: string): Promise<void> {
  if (isSqliteUrl(url) && !existsSync(url.replace('sqlite:///', ''))) {
    throw new StartError([`The database file that ${name} names does not exist.`], 1)
  }
  const target = await (await loadRawDatabaseModule(url)).openTarget(url, name)
  try {
    if (await target.isInUse()) throw new StartError([IN_USE_MESSAGE], EXIT_CODES.failure)
  } finally {
    await target.close()
  }
}

/** Checks a restored database, brings its tables up to date and starts a new epoch of the feed. */
async function finishRestore(settings: StoreSettings, name: string): Promise<RestoreReport> {
  const before = await readMigrations(settings.databaseUrl, name)
  const database = { ...settings.database, autoMigrate: true }
  const report = await withVault({ ...settings, database }, async (store, vault) => {
    const signer = await createAuditSigner(store.vaultKeys, settings.keys.keyring, vault)
    const trail = await verifyAuditChain(store.audit, signer)
    const epoch = createFeedEpoch()
    await store.audit.runAudited(function* (_tx, record) {
      yield store.serviceState.feedEpochStatement(epoch)
      yield store.instances.removeAllStatement()
      record({ action: 'database_restored', detail: { feed_epoch: epoch } })
    })
    return {
      audit_entries: 'problem' in trail ? 0 : trail.rows,
      audit_problem: 'problem' in trail ? trail.problem : null,
      feed_epoch: epoch
    }
  })
  const after = await readMigrations(settings.databaseUrl, name)
  return { migrations_applied: after - before, ...report }
}

/** @throws StartError if the database is not a complete one of this service */
async function readMigrations(url: string, name: string): Promise<number> {
  const source = await (await loadRawDatabaseModule(url)).openSource(url, name)
  try {
    if ((await source.tableNames()).includes(COPY_MARKER_TABLE)) {
      throw new StartError([INCOMPLETE_COPY_MESSAGE], EXIT_CODES.failure)
    }
    const { count, latest } = await source.migrationState()
    if (latest === 0) {
      throw new StartError(
        [`What ${name} names does not belong to this service.`],
        EXIT_CODES.failure
      )
    }
    if (latest > source.latestMigration) {
      throw new StartError([NEWER_VERSION_MESSAGE], EXIT_CODES.failure)
    }
    return count
  } finally {
    await source.close()
  }
}

function describe({ migrations_applied: migrations, ...report }: RestoreReport): string {
  const trail =
    report.audit_problem === null
      ? `${formatNumber(report.audit_entries)} entries of the audit trail are unchanged.`
      : `Warning, the audit trail is damaged: ${report.audit_problem}`
  const tables =
    migrations === 0
      ? 'The tables are up to date.'
      : `The tables are up to date: migrations applied: ${migrations}.`
  return `The vault keys fit. ${trail} ${tables}`
}
