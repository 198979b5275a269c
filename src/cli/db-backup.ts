import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { defineDatabaseCommand, usageErrorWithMessage } from './database-command.ts'
import { isSqliteUrl } from '../store/admin/open-raw-database.ts'

const HELP = `npm run db:backup -- --to FILE   copy the SQLite database of INTEGRATION_DB_URL into a new file, while the service writes

The copy is of one moment, is checked, and is readable by its owner only. The vault's keys are not in it (docs/backup.md).
`
const POSTGRES_MESSAGE =
  'INTEGRATION_DB_URL names a PostgreSQL database: back that up with pg_dump (docs/backup.md).'

/** `npm run db:backup`. */
await defineDatabaseCommand(HELP, ['to'], async ({ to }) => {
  if (to === undefined || to.trim() === '') {
    throw usageErrorWithMessage('--to is lacking: the file to make.', HELP)
  }
  const { databaseUrl } = await loadDatabaseSettings(process.env)
  if (!isSqliteUrl(databaseUrl)) throw new StartError([POSTGRES_MESSAGE], 1)
  const { backupDatabase } = await import('../store/admin/backup.ts')
  const { bytes, ms } = await backupDatabase(databaseUrl, to)
  console.log(`${to}: ${(bytes / 1e6).toFixed(1)} MB in ${(ms / 1e3).toFixed(1)} s, checked.`)
})
