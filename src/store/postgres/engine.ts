import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import pLimit from 'p-limit'
import type pg from 'pg'
import * as tables from '../../../drizzle/postgres/schema.ts'
import type { Tables } from '../../../drizzle/tables.ts'
import { AppError } from '../../lib/errors.ts'
import type { Database, Engine, EngineOptions, RawRow, Statement, Value } from '../engine.ts'
import { migrated, prepareServer } from './migrate.ts'
import { createPool, isAway, unreachable, type Pool, type Query } from './pool.ts'
import { atomicallyBy, busy, driverCode, driverValue, rendered } from '../prepared.ts'

const RETRY_MS = 10
const GIVE_UP_MS = 8_000
/** Connections that writers never take, however many of them wait for a lock. */
const FOR_READERS = 2
/** Somebody else wrote the same rows at the same moment: begun again, it sees what they wrote. */
const CONFLICTS = ['40001', '40P01']
/** A lock or an answer that took too long. */
const LOCKED = ['55P03', '57014']
const FOREIGN_KEY = '23503'

/**
 * The engine for several instances. Transactions see one moment and are begun again where they meet somebody else's, or hold what they
 * decide on from the beginning, so that it is what is there when they commit: the same promise that the embedded engine keeps by letting
 * in one writer at a time.
 */
export async function open(url: string, options: EngineOptions): Promise<Engine> {
  const pool = createPool(url, options)
  await prepareServer(pool, url, options)
  const db = handle(pool)

  const writers = pLimit(Math.max(1, options.connections - FOR_READERS))

  async function write<T>(statement: () => PromiseLike<T>): Promise<T> {
    const giveUpAt = performance.now() + GIVE_UP_MS
    return await writers(async () => {
      while (true) {
        // Whoever had to wait for so long is told, and does not begin to wait for a lock as well.
        if (performance.now() > giveUpAt) throw busy(undefined)
        try {
          return await statement()
        } catch (error) {
          if (!CONFLICTS.includes(driverCode(error) ?? '')) throw translated(error)
          await sleep(RETRY_MS * (0.5 + Math.random()))
        }
      }
    })
  }

  const inSteps: Engine['inSteps'] = async (steps, locksFirst = false) =>
    await write(
      async () =>
        await pool.transaction(
          async (query) => {
            const work = steps(db)
            let next = work.next()
            while (next.done !== true) {
              next = work.next((await query(queryOf(next.value))).rows as RawRow[])
            }
            return next.value
          },
          locksFirst ? 'read committed' : 'repeatable read'
        )
    )

  // Taking the lock is no look at the database: the moment that the transaction sees is the one after it.
  const inTurn: Engine['inTurn'] = async (queue, steps) =>
    await inSteps(function* (tx) {
      yield { toSQL: () => ({ sql: `lock table "${queue}" in exclusive mode`, params: [] }) }
      return yield* steps(tx)
    })

  return {
    db,
    tables: tables as unknown as Tables,
    write,
    prepare(statement) {
      const { sql: text, fill, fillRows } = rendered(statement)
      const name = nameOf(text)
      const bound = (params: unknown[]): Statement =>
        Object.assign(
          { toSQL: () => ({ sql: text, params }) },
          name === undefined ? {} : { [NAME]: name }
        )
      return Object.assign(
        async (values: Record<string, Value>) =>
          (
            await pool
              .query({ text, values: fill(values), ...(name === undefined ? {} : { name }) })
              .catch(rethrow)
          ).rows as RawRow[],
        {
          bind: (values: Record<string, Value>) => bound(fill(values)),
          bindRows: (rows: ReadonlyArray<Record<string, Value>>) => bound(fillRows(rows))
        }
      )
    },
    inSteps,
    inTurn,
    atomically: atomicallyBy(inSteps),
    after: (ms) =>
      sql`cast(extract(epoch from clock_timestamp()) * 1000 as bigint) + ${sql.raw(String(Math.round(ms)))}`,
    newId: (table) => sql.raw(`nextval('${table}_id_seq')`),
    // In this collation only ASCII has capital and small letters.
    contains: (column, text) => sql`strpos(lower(${column} collate "C"), ${text}) > 0`,
    isShared: true,
    skippingLocked: sql`for update skip locked`,
    // Deleted rows leave the files when PostgreSQL's own vacuum takes them out.
    scrub: async () => true,
    waiting: pool.waiting,
    migrated: async () => await migrated(pool),
    close: async () => {
      await pool.close()
    }
  }
}

/** Drizzle's session, as far as it is used here. */
interface Session {
  prepareQuery: (...query: unknown[]) => { execute: (...values: unknown[]) => Promise<unknown> }
}

/**
 * Drizzle over this pool. Its own errors spell out statement and values, which no log may have: they give way to what caused them.
 * Proof of the casts: Drizzle asks its client nothing but this, and the contract suite proves that both engines do the same.
 */
function handle(pool: Pool): Database {
  const client = {
    query: async (query: Query, values?: unknown[]) =>
      await pool.query({ ...query, ...(values === undefined ? {} : { values }) })
  }
  const db = drizzle({ client: client as unknown as pg.Pool })
  const session = (db as unknown as { session: Session }).session
  const prepareQuery = session.prepareQuery.bind(session)
  session.prepareQuery = (...query) => {
    const prepared = prepareQuery(...query)
    const execute = prepared.execute.bind(prepared)
    return Object.assign(prepared, {
      execute: async (...values: unknown[]) =>
        await execute(...values).catch((error: unknown) => rethrow((error as Error).cause ?? error))
    })
  }
  return db as unknown as Database
}

const NAME = Symbol('prepared under this name')

function queryOf(statement: Statement & { [NAME]?: string }): Query {
  const { sql: text, params } = statement.toSQL()
  const name = statement[NAME]
  return { text, values: params.map(driverValue), ...(name === undefined ? {} : { name }) }
}

const names = new Map<string, string>()
/** Longer ones are of many rows, in as many sizes as pages have: none of them is worth being kept on every connection. */
const LONGEST_NAMED = 1_000
/** The same statement has the same name on every connection of this process. */
function nameOf(text: string): string | undefined {
  if (text.length > LONGEST_NAMED) return undefined
  const known = names.get(text) ?? `s${names.size}`
  names.set(text, known)
  return known
}

function rethrow(error: unknown): never {
  throw translated(error)
}

function translated(error: unknown): unknown {
  if (error instanceof AppError) return error
  const code = driverCode(error) ?? ''
  if (code === FOREIGN_KEY) {
    return new AppError('user_not_found', 'No user has this id.', { cause: error })
  }
  if (LOCKED.includes(code)) return busy(error)
  return isAway(error) ? unreachable(error) : error
}
