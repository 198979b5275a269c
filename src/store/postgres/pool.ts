import pg from 'pg'
import { AppError } from '../../lib/errors.ts'
import type { EngineOptions } from '../engine.ts'
import { createHealthMonitor } from './health-monitor.ts'
import { createBusyError, getDriverErrorCode } from '../prepared.ts'
import { createWaitEstimator } from './wait-estimate.ts'

/** Waiting for a connection for longer is said, not waited. */
const CONNECT_TIMEOUT_MS = 3_000
/** Connections are made anew after that, so that they follow a server that has moved. */
const MAX_LIFETIME_S = 600
/** The server is gone, starting, stopping, full, only reads, or takes no more connections. */
const CONNECTION_ERROR =
  /^(08|57P0|53|25006)|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/
const INT8_OID = 20
/** By this name a service is recognised on the server. */
export const APPLICATION_NAME = 'jira-confluence-connector'

/** Whole numbers as numbers: ids and times have 53 bits at most. */
export const typeParsers = {
  getTypeParser: (oid: number, format?: string) =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format as 'text')
} as unknown as pg.CustomTypesConfig

export interface PoolQuery {
  text: string
  values?: unknown[]
  name?: string
  rowMode?: string
}
type RunQuery = (query: PoolQuery) => Promise<{ rows: unknown[] }>

/** Whether an error means that the server, or the way to it, is not there. */
export function isConnectionError(error: unknown): boolean {
  return (
    CONNECTION_ERROR.test(getDriverErrorCode(error) ?? '') ||
    /Connection terminated|connection error|server closed/i.test(
      String((error as Error | null)?.message)
    )
  )
}

export function createUnavailableError(cause?: unknown): AppError {
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
  { poolSize, statementTimeoutMs, lockTimeoutMs, onAvailabilityChange }: EngineOptions
) {
  const clientOptions = {
    ...connectionOptions(url),
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    // A plan for the average owner reads all rows of one who has far more than others.
    options: '-c plan_cache_mode=force_custom_plan'
  }
  // A start that is refused ends at once, though connections lie idle.
  const pool = new pg.Pool({
    ...clientOptions,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    maxLifetimeSeconds: MAX_LIFETIME_S,
    allowExitOnIdle: true
  })
  const openClients = new Set<pg.PoolClient>()
  const waitEstimator = createWaitEstimator()
  pool.on('connect', (client) => {
    openClients.add(client)
    // Who uses it is told by what was asked on it; without a listener the process would end.
    client.on('error', () => {})
  })
  pool.on('remove', (client) => {
    openClients.delete(client)
  })
  // A connection that dies while nobody uses it is replaced when somebody does.
  pool.on('error', () => {})

  const healthMonitor = createHealthMonitor({
    probe: async (signal) => {
      const client = new pg.Client({
        ...clientOptions,
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS
      })
      client.on('error', () => {})
      signal.addEventListener(
        'abort',
        () => {
          destroySocket(client)
        },
        { once: true }
      )
      await client.connect()
      await client.query('select 1')
    },
    createLostError: createUnavailableError,
    onAvailabilityChange: (isAvailable) => {
      // What was asked on them is never answered, or by a server that is not the one any more.
      if (!isAvailable) openClients.forEach(destroySocket)
      onAvailabilityChange(isAvailable)
    }
  })

  /** Runs something on a connection, which is given back, or thrown away after trouble. */
  async function withClient<T>(
    work: (query: RunQuery, client: pg.PoolClient) => Promise<T>
  ): Promise<T> {
    return await healthMonitor.run(async (isPending) => {
      const client = await waitEstimator
        .track(async () => await pool.connect())
        .catch((error: unknown) => {
          throw mapError(error)
        })
      let connectionError: Error | undefined
      try {
        if (!isPending()) throw createUnavailableError()
        return await work(
          async (query) => await client.query({ ...query, types: typeParsers } as pg.QueryConfig),
          client
        )
      } catch (error) {
        if (isConnectionError(error)) connectionError = error as Error
        throw mapError(error)
      } finally {
        client.release(connectionError)
      }
    })
  }

  function mapError(error: unknown): unknown {
    if (/timeout exceeded when trying to connect/.test(String((error as Error | null)?.message))) {
      return createBusyError(error)
    }
    if (isConnectionError(error)) healthMonitor.probeSoon()
    return error
  }

  return {
    query: async (query: PoolQuery) => await withClient(async (runQuery) => await runQuery(query)),

    /** Several queries on one connection, in a transaction: one that sees one moment, or one that sees with each query what is there by then. */
    transaction: async <T>(
      work: (query: RunQuery) => Promise<T>,
      isolation: 'repeatable read' | 'read committed'
    ): Promise<T> =>
      await withClient(async (runQuery, client) => {
        try {
          await client.query(`begin isolation level ${isolation}`)
          const result = await work(runQuery)
          await client.query('commit')
          return result
        } catch (error) {
          if (!isConnectionError(error)) await client.query('rollback')
          throw error
        }
      }),

    estimateWait: waitEstimator.estimateWait,

    async close(): Promise<void> {
      healthMonitor.stop()
      if (healthMonitor.isLost()) openClients.forEach(destroySocket)
      await pool.end()
    }
  }
}

export type Pool = ReturnType<typeof createPool>

/** One connection without time limits, for whoever keeps it for long. @param name by which the server knows it */
export function createDedicatedClient(url: string, name = APPLICATION_NAME): pg.Client {
  const client = new pg.Client({
    ...connectionOptions(url),
    application_name: name,
    options: '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS
  })
  client.on('error', () => {})
  return client
}

function connectionOptions(url: string) {
  return {
    connectionString: url.replace(/^postgres(ql)?(\+psycopg)?:/, 'postgresql:'),
    application_name: APPLICATION_NAME,
    keepAlive: true
  }
}

/** Leaves a server that does not answer; the driver has no other way. */
function destroySocket(client: object): void {
  ;(client as { connection?: { stream?: { destroy: () => void } } }).connection?.stream?.destroy()
}
