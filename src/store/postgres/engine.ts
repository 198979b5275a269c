import { getTableName, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import pLimit from 'p-limit'
import type pg from 'pg'
import { columns } from '../../../drizzle/postgres/columns.ts'
import { defineTables } from '../../../drizzle/tables.ts'
import { addJitter } from '../../lib/backoff.ts'
import { AppError } from '../../lib/errors.ts'
import { retry } from '../../lib/retry.ts'
import type {
  BindValue,
  Database,
  Engine,
  EngineOptions,
  RawRow,
  Statement,
  TransactionScript
} from '../engine.ts'
import { createChainedTransactions } from './chained-transactions.ts'
import { isMigrated, prepareServer } from './migrate.ts'
import {
  createPool,
  isConnectionError,
  createUnavailableError,
  type Pool,
  type PoolQuery,
  type RunQuery
} from './pool.ts'
import {
  createBatch,
  createBusyError,
  getDriverErrorCode,
  toDriverValue,
  compileStatement
} from '../prepared.ts'

const RETRY_DELAY_MS = 10
const WRITE_TIMEOUT_MS = 8_000
/** Connections reserved for readers, however many writers wait for a lock. */
const RESERVED_READER_CONNECTIONS = 2
/**
 * Serialization failure and deadlock: another transaction wrote the same rows. A restarted
 * transaction sees what it wrote.
 */
const CONFLICT_CODES = ['40001', '40P01']
/** Lock time-out and statement time-out. */
const TIMEOUT_CODES = ['55P03', '57014']
const FOREIGN_KEY_VIOLATION = '23503'

/**
 * The engine for several instances. Transactions run REPEATABLE READ and restart on conflict, or
 * lock everything their decision depends on first. Either way a decision still holds at commit,
 * as it does on the embedded engine, which admits one writer at a time.
 */
export async function open(url: string, options: EngineOptions): Promise<Engine> {
  const pool = createPool(url, options)
  await prepareServer(pool, url, options)
  const db = createDrizzle(pool)

  const limitWriters = pLimit(Math.max(1, options.poolSize - RESERVED_READER_CONNECTIONS))

  /**
   * @param attempt may be called again, until `deadline`
   * @param deadline on the clock of `performance.now()`
   */
  async function retryConflicts<T>(attempt: () => PromiseLike<T>, deadline: number): Promise<T> {
    const attemptInTime = async (): Promise<T> => {
      // The deadline has passed: report it instead of waiting for a lock as well.
      if (performance.now() > deadline) throw createBusyError(undefined)
      return await attempt()
    }
    return await retry(attemptInTime, (error) => {
      if (!CONFLICT_CODES.includes(getDriverErrorCode(error) ?? '')) throw toAppError(error)
      return addJitter(RETRY_DELAY_MS, 0.5)
    })
  }

  async function write<T>(statement: () => PromiseLike<T>): Promise<T> {
    const deadline = performance.now() + WRITE_TIMEOUT_MS
    return await limitWriters(async () => await retryConflicts(statement, deadline))
  }

  const transaction: Engine['transaction'] = async (script, readCommitted = false) =>
    await write(
      async () =>
        await pool.transaction(
          async (query) => await runScript(query, script(db)),
          readCommitted ? 'read committed' : 'repeatable read'
        )
    )

  const chainedTransactions = createChainedTransactions({
    pool,
    runScript,
    runStatement,
    limitWriters
  })

  const chainedTransaction: Engine['chainedTransaction'] = async (chain, script, isIndependent) => {
    const deadline = performance.now() + WRITE_TIMEOUT_MS
    return await retryConflicts(
      async () =>
        await chainedTransactions.run(chain, (link) => script(db, link), deadline, isIndependent),
      deadline
    )
  }

  const tables = defineTables(columns, options.itemTables)
  const readTablesQuery = {
    text: `select ${tables.all.map((table) => `(select 1 from "${getTableName(table)}" limit 1)`).join()}`,
    // Named, to find a pooler that breaks prepared statements.
    name: 'read_tables'
  }

  return {
    db,
    tables,
    write,
    writePrepared: async (statement) =>
      await write(async () => (await pool.query(toPoolQuery(statement))).rows as RawRow[]),
    prepare(statement) {
      const { sql: text, bind, bindRows } = compileStatement(statement)
      const name = nameStatement(text)
      const withParams = (params: unknown[]): Statement =>
        Object.assign(
          { toSQL: () => ({ sql: text, params }) },
          name === undefined ? {} : { [STATEMENT_NAME]: name }
        )
      return Object.assign(
        async (values: Record<string, BindValue>) =>
          (
            await pool
              .query({ text, values: bind(values), ...(name === undefined ? {} : { name }) })
              .catch(throwAppError)
          ).rows as RawRow[],
        {
          bind: (values: Record<string, BindValue>) => withParams(bind(values)),
          bindRows: (rows: ReadonlyArray<Record<string, BindValue>>) => withParams(bindRows(rows))
        }
      )
    },
    transaction,
    chainedTransaction,
    batch: createBatch(transaction),
    snapshot: async (script) =>
      await pool
        .transaction(async (query) => await runScript(query, script()), 'repeatable read')
        .catch(throwAppError),
    nowPlus: (ms) =>
      sql`cast(extract(epoch from clock_timestamp()) * 1000 as bigint) + ${sql.raw(String(Math.round(ms)))}`,
    newId: (table) => sql.raw(`nextval('${table}_id_seq')`),
    // Collation "C" maps the case of ASCII letters only.
    contains: (column, text) => sql`strpos(lower(${column} collate "C"), ${text}) > 0`,
    isShared: true,
    rowsPerStatement: Infinity,
    skipLocked: sql`for update skip locked`,
    // PostgreSQL's own vacuum removes deleted rows from the files.
    truncateWal: async () => true,
    estimatePoolWait: pool.estimateWait,
    readTables: async () => {
      await pool.query(readTablesQuery).catch(throwAppError)
    },
    isMigrated: async () => await isMigrated(pool),
    close: async () => {
      await chainedTransactions.settle()
      await pool.close()
    }
  }
}

async function runScript<T>(query: RunQuery, script: TransactionScript<T>): Promise<T> {
  let next = script.next()
  while (next.done !== true) next = script.next(await runStatement(query, next.value))
  return next.value
}

async function runStatement(query: RunQuery, statement: Statement): Promise<RawRow[]> {
  return (await query(toPoolQuery(statement))).rows as RawRow[]
}

/** The part of Drizzle's session that is used here. */
interface DrizzleSession {
  prepareQuery: (...query: unknown[]) => { execute: (...values: unknown[]) => Promise<unknown> }
}

/**
 * Drizzle over this pool. Drizzle's errors contain the statement and its values, which must not
 * reach a log, so they are replaced by their causes. Proof of the casts: Drizzle calls only
 * these members of its client, and test/store/contract.ts runs on both engines.
 */
function createDrizzle(pool: Pool): Database {
  const client = {
    query: async (query: PoolQuery, values?: unknown[]) =>
      await pool.query({ ...query, ...(values === undefined ? {} : { values }) })
  }
  const db = drizzle({ client: client as unknown as pg.Pool })
  const session = (db as unknown as { session: DrizzleSession }).session
  const prepareQuery = session.prepareQuery.bind(session)
  session.prepareQuery = (...query) => {
    const prepared = prepareQuery(...query)
    const execute = prepared.execute.bind(prepared)
    return Object.assign(prepared, {
      execute: async (...values: unknown[]) =>
        await execute(...values).catch((error: unknown) =>
          throwAppError((error as Error).cause ?? error)
        )
    })
  }
  return db as unknown as Database
}

const STATEMENT_NAME = Symbol('prepared under this name')

function toPoolQuery(statement: Statement & { [STATEMENT_NAME]?: string }): PoolQuery {
  const { sql: text, params } = statement.toSQL()
  const name = statement[STATEMENT_NAME]
  return { text, values: params.map(toDriverValue), ...(name === undefined ? {} : { name }) }
}

const statementNames = new Map<string, string>()
/**
 * Longer statements write many rows, in as many sizes as pages have: not worth a named statement
 * on every connection.
 */
const MAX_NAMED_LENGTH = 1_000
/** Gives a statement the same name on every connection of this process. */
function nameStatement(text: string): string | undefined {
  if (text.length > MAX_NAMED_LENGTH) return undefined
  const name = statementNames.get(text) ?? `s${statementNames.size}`
  statementNames.set(text, name)
  return name
}

function throwAppError(error: unknown): never {
  throw toAppError(error)
}

function toAppError(error: unknown): unknown {
  if (error instanceof AppError) return error
  const code = getDriverErrorCode(error) ?? ''
  if (code === FOREIGN_KEY_VIOLATION) {
    return new AppError('user_not_found', 'No user has this id.', { cause: error })
  }
  if (TIMEOUT_CODES.includes(code)) return createBusyError(error)
  return isConnectionError(error) ? createUnavailableError(error) : error
}
