import pg from 'pg'
import { AppError } from '../../lib/errors.ts'
import type { EngineOptions } from '../engine.ts'
import { createPulse } from './health-monitor.ts'
import { busy, driverCode } from '../prepared.ts'
import { createLine } from './wait-estimate.ts'

/** Waiting for a connection for longer is said, not waited. */
const PATIENCE_MS = 3_000
/** Connections are made anew after that, so that they follow a server that has moved. */
const LIFE_S = 600
/** The server is gone, starting, stopping, full, only reads, or takes no more connections. */
const AWAY =
  /^(08|57P0|53|25006)|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/
const INT8 = 20
/** By this name a service is recognised on the server. */
export const APPLICATION = 'jira-confluence-connector'

/** Whole numbers as numbers: ids and times have 53 bits at most. */
export const types = {
  getTypeParser: (oid: number, format?: string) =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')
} as unknown as pg.CustomTypesConfig

export interface Query {
  text: string
  values?: unknown[]
  name?: string
  rowMode?: string
}
type Asking = (query: Query) => Promise<{ rows: unknown[] }>

/** Whether an error means that the server, or the way to it, is not there. */
export function isAway(error: unknown): boolean {
  return (
    AWAY.test(driverCode(error) ?? '') ||
    /Connection terminated|connection error|server closed/i.test(
      String((error as Error | null)?.message)
    )
  )
}

export function unreachable(cause?: unknown): AppError {
  return new AppError('database_unavailable', 'The database cannot be reached at the moment.', {
    cause,
    retryAfterS: 1
  })
}

/**
 * Connections to one server, under the eyes of a pulse.
 *
 * @param url as for libpq; TLS is asked for by `sslmode`
 */
export function createPool(
  url: string,
  { connections, statementTimeoutMs, lockTimeoutMs, onChange }: EngineOptions
) {
  const settings = {
    ...how(url),
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    // A plan for the average owner reads all rows of one who has far more than others.
    options: '-c plan_cache_mode=force_custom_plan'
  }
  // A start that is refused ends at once, though connections lie idle.
  const pool = new pg.Pool({
    ...settings,
    max: connections,
    connectionTimeoutMillis: PATIENCE_MS,
    maxLifetimeSeconds: LIFE_S,
    allowExitOnIdle: true
  })
  const open = new Set<pg.PoolClient>()
  const line = createLine()
  pool.on('connect', (client) => {
    open.add(client)
    // Who uses it is told by what was asked on it; without a listener the process would end.
    client.on('error', () => {})
  })
  pool.on('remove', (client) => {
    open.delete(client)
  })
  // A connection that dies while nobody uses it is replaced when somebody does.
  pool.on('error', () => {})

  const pulse = createPulse({
    probe: async (signal) => {
      const client = new pg.Client({ ...settings, connectionTimeoutMillis: PATIENCE_MS })
      client.on('error', () => {})
      signal.addEventListener(
        'abort',
        () => {
          cut(client)
        },
        { once: true }
      )
      await client.connect()
      await client.query('select 1')
    },
    lost: unreachable,
    onChange: (isThere) => {
      // What was asked on them is never answered, or by a server that is not the one any more.
      if (!isThere) open.forEach(cut)
      onChange(isThere)
    }
  })

  /** Runs something on a connection, which is given back, or thrown away after trouble. */
  async function using<T>(work: (query: Asking, client: pg.PoolClient) => Promise<T>): Promise<T> {
    return await pulse.during(async (isWanted) => {
      const client = await line
        .stand(async () => await pool.connect())
        .catch((error: unknown) => {
          throw doubted(error)
        })
      let broken: Error | undefined
      try {
        if (!isWanted()) throw unreachable()
        return await work(
          async (query) => await client.query({ ...query, types } as pg.QueryConfig),
          client
        )
      } catch (error) {
        if (isAway(error)) broken = error as Error
        throw doubted(error)
      } finally {
        client.release(broken)
      }
    })
  }

  function doubted(error: unknown): unknown {
    if (/timeout exceeded when trying to connect/.test(String((error as Error | null)?.message))) {
      return busy(error)
    }
    if (isAway(error)) pulse.doubt()
    return error
  }

  return {
    query: async (query: Query) => await using(async (ask) => await ask(query)),

    /** Several queries on one connection, in a transaction: one that sees one moment, or one that sees with each query what is there by then. */
    transaction: async <T>(
      work: (query: Asking) => Promise<T>,
      isolation: 'repeatable read' | 'read committed'
    ): Promise<T> =>
      await using(async (ask, client) => {
        try {
          await client.query(`begin isolation level ${isolation}`)
          const result = await work(ask)
          await client.query('commit')
          return result
        } catch (error) {
          if (!isAway(error)) await client.query('rollback')
          throw error
        }
      }),

    waiting: line.waiting,

    async close(): Promise<void> {
      pulse.stop()
      if (pulse.isLost()) open.forEach(cut)
      await pool.end()
    }
  }
}

export type Pool = ReturnType<typeof createPool>

/** One connection without time limits, for whoever keeps it for long. @param name by which the server knows it */
export function apart(url: string, name = APPLICATION): pg.Client {
  const client = new pg.Client({
    ...how(url),
    application_name: name,
    options: '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0',
    connectionTimeoutMillis: PATIENCE_MS
  })
  client.on('error', () => {})
  return client
}

function how(url: string) {
  return {
    connectionString: url.replace(/^postgres(ql)?(\+psycopg)?:/, 'postgresql:'),
    application_name: APPLICATION,
    keepAlive: true
  }
}

/** Leaves a server that does not answer; the driver has no other way. */
function cut(client: object): void {
  ;(client as { connection?: { stream?: { destroy: () => void } } }).connection?.stream?.destroy()
}
