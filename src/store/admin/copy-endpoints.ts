import { StartError } from '../../lib/errors.ts'
import { COPYING, NEWER, openEngine, type EngineOptions } from '../engine.ts'
import { engineOf, type Connection } from './raw-database.ts'
import { isWhole } from './copy.ts'

const [FROM, TO] = ['--from', '--to']

/**
 * Opens what is copied from.
 *
 * @throws StartError it is not a whole database of this version
 */
export async function openFrom(url: string, name: string): Promise<Connection> {
  const source = await (await engineOf(url)).openSource(url, name)
  try {
    const [names, { newest }] = [await source.names(), await source.applied()]
    if (names.includes(COPYING)) {
      throw new StartError(
        [
          `The database that ${name} names is itself a half-done copy: finish it first, or copy from its source.`
        ],
        1
      )
    }
    if (newest === 0) {
      throw new StartError([`The database that ${name} names is none of this service.`], 1)
    }
    if (newest > source.newest) throw new StartError([NEWER], 1)
    if (newest < source.newest) {
      throw new StartError(
        [
          `The tables that ${name} names are older than this version: run "npm run db:migrate" with INTEGRATION_DB_URL naming them, first.`
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
 * Opens what is copied into: an empty database, whose tables are made, or a half-done copy of this source. A note in a table of its own
 * says which source that is, and keeps services from starting on it, until the copy is done.
 *
 * @returns undefined where the copy is done already: whoever was interrupted at its very end may ask again
 * @throws StartError there is something else in it
 */
export async function openTo(
  url: string,
  source: Connection,
  options: Partial<EngineOptions>
): Promise<Connection | undefined> {
  const { openTarget } = await engineOf(url)
  const found = await openTarget(url, TO)
  try {
    if (found.identity === source.identity) {
      throw new StartError([`${FROM} and ${TO} name the same database.`], 2)
    }
    if (await found.isInUse()) {
      throw new StartError([`A service is using the database that ${TO} names. Stop it first.`], 1)
    }
    if ((await found.names()).includes(COPYING)) return await goingOn(found, source)
    if (await isDone(found, source)) {
      await found.close()
      return undefined
    }
    await requireEmpty(found)
  } catch (error) {
    await found.close()
    throw error
  }
  await found.close()
  await migrate(url, options)
  return await begun(await openTarget(url, TO), source)
}

/** The copy is whole: services may start on it. */
export async function finish(target: Connection): Promise<void> {
  await target.settle()
  await target.ask(`drop table ${COPYING}`)
}

async function begun(target: Connection, source: Connection): Promise<Connection> {
  try {
    // Nobody held it while its tables were made.
    await requireEmpty(target)
    await target.ask(`create table ${COPYING} as select cast(? as text) as source`, [
      source.identity
    ])
    return target
  } catch (error) {
    await target.close()
    throw error
  }
}

async function goingOn(target: Connection, source: Connection): Promise<Connection> {
  const [[of] = []] = await target.ask(`select source from ${COPYING}`)
  if (of !== source.identity) {
    throw new StartError(
      [
        `The database that ${TO} names is a half-done copy of another database. Make a new one, or empty it.`
      ],
      1
    )
  }
  if ((await target.applied()).newest !== target.newest) {
    throw new StartError(
      [
        `The half-done copy that ${TO} names was begun by another version of this service. Make a new database, or empty it.`
      ],
      1
    )
  }
  return target
}

async function isDone(target: Connection, source: Connection): Promise<boolean> {
  if ((await target.applied()).newest !== target.newest) return false
  return (await filledTable(target)) !== undefined && (await isWhole(source, target))
}

async function requireEmpty(target: Connection): Promise<void> {
  if ((await target.names()).length > 0 && (await target.applied()).count === 0) {
    throw new StartError(
      [
        `The database that ${TO} names holds another program's tables. Nothing was changed; name an empty one.`
      ],
      1
    )
  }
  const filled = await filledTable(target)
  if (filled !== undefined) {
    throw new StartError(
      [
        `The database that ${TO} names is not empty: it has rows in ${filled}. Nothing was changed; name an empty one.`
      ],
      1
    )
  }
}

/** A table of ours that has rows. */
async function filledTable(target: Connection): Promise<string | undefined> {
  const names = await target.names()
  for (const { name } of target.tables) {
    if (names.includes(name) && (await target.ask(`select 1 from "${name}" limit 1`)).length > 0) {
      return name
    }
  }
  return undefined
}

async function migrate(url: string, options: Partial<EngineOptions>): Promise<void> {
  try {
    await (await openEngine(url, { ...options, migrates: true })).close()
  } catch (error) {
    if (error instanceof StartError) {
      throw new StartError(
        error.problems.map((problem) => problem.replaceAll('INTEGRATION_DB_URL', TO)),
        error.exitCode
      )
    }
    throw error
  }
}
