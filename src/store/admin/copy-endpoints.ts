import { StartError } from '../../lib/errors.ts'
import { COPY_MARKER_TABLE, NEWER_VERSION_MESSAGE, type EngineOptions } from '../engine.ts'
import { openEngine } from '../open-engine.ts'
import { loadRawDatabaseModule } from './open-raw-database.ts'
import type { RawDatabase } from './raw-database.ts'
import { isComplete } from './copy.ts'

const [FROM_OPTION, TO_OPTION] = ['--from', '--to']

/**
 * Opens the database to copy from.
 *
 * @throws StartError if it is not a complete database of this version
 */
export async function openCopySource(url: string, name: string): Promise<RawDatabase> {
  const source = await (await loadRawDatabaseModule(url)).openSource(url, name)
  try {
    const [names, { latest }] = [await source.tableNames(), await source.migrationState()]
    if (names.includes(COPY_MARKER_TABLE)) {
      throw new StartError(
        [
          `The database that ${name} names is itself an incomplete copy: ` +
            'complete it first, or copy from its source.'
        ],
        1
      )
    }
    if (latest === 0) {
      throw new StartError([`The database that ${name} names does not belong to this service.`], 1)
    }
    if (latest > source.latestMigration) throw new StartError([NEWER_VERSION_MESSAGE], 1)
    if (latest < source.latestMigration) {
      throw new StartError(
        [
          `The tables that ${name} names are older than this version: first run ` +
            '"connector db migrate" with INTEGRATION_DB_URL set to that database.'
        ],
        1
      )
    }
    return source
  } catch (error) {
    await source.close()
    throw error
  }
}

/**
 * Opens the database to copy into: an empty one, whose tables are created, or an interrupted
 * copy of the same source. Until the copy is complete, a marker table names the source and keeps
 * services from starting on it.
 *
 * @returns undefined if the copy is already complete, so that an interrupted command can be
 *   repeated
 * @throws StartError if the database holds anything else
 */
export async function openCopyTarget(
  url: string,
  source: RawDatabase,
  options: Partial<EngineOptions>
): Promise<RawDatabase | undefined> {
  const { openTarget } = await loadRawDatabaseModule(url)
  const target = await openTarget(url, TO_OPTION)
  try {
    if (target.identity === source.identity) {
      throw new StartError([`${FROM_OPTION} and ${TO_OPTION} name the same database.`], 2)
    }
    if (await target.isInUse()) {
      throw new StartError(
        [`A service is using the database that ${TO_OPTION} names. Stop it first.`],
        1
      )
    }
    if ((await target.tableNames()).includes(COPY_MARKER_TABLE)) {
      return await resumeCopy(target, source)
    }
    if (await isAlreadyCopied(target, source)) {
      await target.close()
      return undefined
    }
    await assertEmpty(target)
  } catch (error) {
    await target.close()
    throw error
  }
  await target.close()
  await migrateTarget(url, options)
  return await markCopyStarted(await openTarget(url, TO_OPTION), source)
}

/** Removes the marker table: services may start on the copy. */
export async function completeCopy(target: RawDatabase): Promise<void> {
  await target.finishBulkLoad()
  await target.query(`drop table ${COPY_MARKER_TABLE}`)
}

async function markCopyStarted(target: RawDatabase, source: RawDatabase): Promise<RawDatabase> {
  try {
    // Another process could have written while the tables were created.
    await assertEmpty(target)
    await target.query(`create table ${COPY_MARKER_TABLE} as select cast(? as text) as source`, [
      source.identity
    ])
    return target
  } catch (error) {
    await target.close()
    throw error
  }
}

async function resumeCopy(target: RawDatabase, source: RawDatabase): Promise<RawDatabase> {
  const [[copiedFrom] = []] = await target.query(`select source from ${COPY_MARKER_TABLE}`)
  if (copiedFrom !== source.identity) {
    throw new StartError(
      [
        `The database that ${TO_OPTION} names is an incomplete copy of another database. ` +
          'Create a new one, or empty it.'
      ],
      1
    )
  }
  if ((await target.migrationState()).latest !== target.latestMigration) {
    throw new StartError(
      [
        `The incomplete copy that ${TO_OPTION} names was started by another version of this ` +
          'service. Create a new database, or empty it.'
      ],
      1
    )
  }
  return target
}

async function isAlreadyCopied(target: RawDatabase, source: RawDatabase): Promise<boolean> {
  if ((await target.migrationState()).latest !== target.latestMigration) return false
  return (await findNonEmptyTable(target)) !== undefined && (await isComplete(source, target))
}

async function assertEmpty(target: RawDatabase): Promise<void> {
  if ((await target.tableNames()).length > 0 && (await target.migrationState()).count === 0) {
    throw new StartError(
      [
        `The database that ${TO_OPTION} names contains another program's tables. ` +
          'Nothing was changed; use an empty one.'
      ],
      1
    )
  }
  const nonEmptyTable = await findNonEmptyTable(target)
  if (nonEmptyTable !== undefined) {
    throw new StartError(
      [
        `The database that ${TO_OPTION} names is not empty: it has rows in ${nonEmptyTable}. ` +
          'Nothing was changed; use an empty one.'
      ],
      1
    )
  }
}

/** Finds a table of the schema that has rows. */
async function findNonEmptyTable(target: RawDatabase): Promise<string | undefined> {
  const names = await target.tableNames()
  for (const { name } of target.tables) {
    if (
      names.includes(name) &&
      (await target.query(`select 1 from "${name}" limit 1`)).length > 0
    ) {
      return name
    }
  }
  return undefined
}

async function migrateTarget(url: string, options: Partial<EngineOptions>): Promise<void> {
  try {
    await (await openEngine(url, { ...options, autoMigrate: true })).close()
  } catch (error) {
    if (error instanceof StartError) {
      throw new StartError(
        error.problems.map((problem) => problem.replaceAll('INTEGRATION_DB_URL', TO_OPTION)),
        error.exitCode
      )
    }
    throw error
  }
}
