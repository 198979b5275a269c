import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { runCommand, wrong } from './database-command.ts'
import { isSqlite } from '../store/admin/raw-database.ts'

const HELP = `npm run db:backup -- --to FILE   copy the SQLite database of INTEGRATION_DB_URL into a new file, while the service writes

The copy is of one moment, is checked, and is readable by its owner only. The vault's keys are not in it (docs/backup.md).
`
const POSTGRES =
  'INTEGRATION_DB_URL names a PostgreSQL database: back that up with pg_dump (docs/backup.md).'

/** `npm run db:backup`. */
await runCommand(HELP, ['to'], async ({ to }) => {
  if (to === undefined || to.trim() === '') throw wrong('--to is lacking: the file to make.', HELP)
  const { databaseUrl } = loadDatabaseSettings(process.env)
  if (!isSqlite(databaseUrl)) throw new StartError([POSTGRES], 1)
  const { backup } = await import('../store/admin/backup.ts')
  const { bytes, ms } = await backup(databaseUrl, to)
  console.log(`${to}: ${(bytes / 1e6).toFixed(1)} MB in ${(ms / 1e3).toFixed(1)} s, checked.`)
})
