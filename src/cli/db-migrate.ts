import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { loadRawDatabaseModule } from '../store/admin/open-raw-database.ts'
import { openEngine } from '../store/open-engine.ts'

export const migrateDatabase = defineCommand({
  description:
    'Apply the pending migrations to the database that INTEGRATION_DB_URL names.\n' +
    'Needed only with DB_AUTO_MIGRATE=false; otherwise each start does it. Concurrent runs are safe.',
  options: { json: JSON_OPTION },
  examples: [['', 'Before a new version starts.']],
  usesDatabase: true,
  async run({ json }) {
    const { databaseUrl, database } = await loadDatabaseSettings(process.env)
    const countBefore = await countAppliedMigrations(databaseUrl)
    const engine = await openEngine(databaseUrl, { ...database, autoMigrate: true })
    const applied = (await countAppliedMigrations(databaseUrl)) - countBefore
    await engine.close()
    printResult(
      json,
      { applied },
      applied === 0
        ? 'The tables are up to date.'
        : `The tables are up to date: ${applied} migration${applied === 1 ? ' was' : 's were'} applied.`
    )
  }
})

/** @returns 0 where there is no database yet */
async function countAppliedMigrations(url: string): Promise<number> {
  try {
    const source = await (await loadRawDatabaseModule(url)).openSource(url, 'INTEGRATION_DB_URL')
    try {
      return (await source.migrationState()).count
    } finally {
      await source.close()
    }
  } catch (error) {
    // `openEngine` reports the same problem in more detail.
    if (error instanceof StartError) return 0
    throw error
  }
}
