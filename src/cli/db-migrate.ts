import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { openEngine } from '../store/engine.ts'
import { runCommand } from './database-command.ts'
import { engineOf } from '../store/admin/raw-database.ts'

const HELP = `npm run db:migrate   bring the tables of INTEGRATION_DB_URL up to date

For those who have set DB_AUTO_MIGRATE=false; otherwise each start does it. Several at once do it once.
`

/** `npm run db:migrate`. */
await runCommand(HELP, [], async () => {
  const { databaseUrl, database } = loadDatabaseSettings(process.env)
  const before = await applied(databaseUrl)
  const engine = await openEngine(databaseUrl, { ...database, migrates: true })
  const count = (await applied(databaseUrl)) - before
  await engine.close()
  console.log(
    count === 0
      ? 'The tables are up to date.'
      : `The tables are up to date: ${count} ${count === 1 ? 'migration was' : 'migrations were'} applied.`
  )
})

/** How many migrations a database has had; 0 where there is none yet. */
async function applied(url: string): Promise<number> {
  try {
    const source = await (await engineOf(url)).openSource(url, 'INTEGRATION_DB_URL')
    try {
      return (await source.applied()).count
    } finally {
      await source.close()
    }
  } catch (error) {
    // Whatever is wrong, the engine has a better sentence for it.
    if (error instanceof StartError) return 0
    throw error
  }
}
