import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { isSqliteUrl } from '../store/admin/open-raw-database.ts'

const POSTGRES_MESSAGE =
  'INTEGRATION_DB_URL names a PostgreSQL database. Back it up with pg_dump (docs/backup.md).'

export const backupDatabaseCommand = defineCommand({
  description:
    'Back up the SQLite database of INTEGRATION_DB_URL into a new file, while the service writes.\n' +
    'The copy is consistent, verified, and readable by its owner only. It does not contain the\n' +
    'vault keys (docs/backup.md).',
  options: {
    to: {
      flags: '--to <file>',
      description: 'The file to create.',
      isRequired: true,
      rule: 'must name a file',
      parse: (text) => (text.trim() === '' ? undefined : text)
    },
    json: JSON_OPTION
  },
  examples: [['--to backup-2026-01-31.db', 'Create a backup.']],
  usesDatabase: true,
  async run({ to, json }) {
    const { databaseUrl } = await loadDatabaseSettings(process.env)
    if (!isSqliteUrl(databaseUrl)) throw new StartError([POSTGRES_MESSAGE], EXIT_CODES.failure)
    const { backupDatabase } = await import('../store/admin/backup.ts')
    const { bytes, ms } = await backupDatabase(databaseUrl, to)
    printResult(
      json,
      { file: to, bytes, duration_ms: Math.round(ms) },
      `${to}: ${(bytes / 1e6).toFixed(1)} MB in ${(ms / 1e3).toFixed(1)} s, verified.`
    )
  }
})
