import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { openEngine } from '../store/open-engine.ts'
import { defineDatabaseCommand } from './database-command.ts'
import { loadRawDatabaseModule } from '../store/admin/open-raw-database.ts'

const HELP = `npm run db:migrate   bring the tables of INTEGRATION_DB_URL up to date

For those who have set DB_AUTO_MIGRATE=false; otherwise each start does it. Several at once do it once.
`

/** `npm run db:migrate`. */
await defineDatabaseCommand(HELP, [], async () => {
  const { databaseUrl, database } = await loadDatabaseSettings(process.env)
  const countBefore = await countAppliedMigrations(databaseUrl)
  const engine = await openEngine(databaseUrl, { ...database, autoMigrate: true })
  const count = (await countAppliedMigrations(databaseUrl)) - countBefore
  await engine.close()
  console.log(
    count === 0
      ? 'The tables are up to date.'
      : `The tables are up to date: ${count} ${count === 1 ? 'migration was' : 'migrations were'} applied.`
  )
})

/** How many migrations a database has had; 0 where there is none yet. */
async function countAppliedMigrations(url: string): Promise<number> {
  try {
    const source = await (await loadRawDatabaseModule(url)).openSource(url, 'INTEGRATION_DB_URL')
    try {
      return (await source.migrationState()).count
    } finally {
      await source.close()
    }
  } catch (error) {
    // Whatever is wrong, the engine has a better sentence for it.
    if (error instanceof StartError) return 0
    throw error
  }
}
