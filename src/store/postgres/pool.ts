import pg from 'pg'
import { AppError } from '../../lib/errors.ts'
import type { EngineOptions } from '../engine.ts'
import { createHealthMonitor } from './health-monitor.ts'
import { assertSessionPooling } from './pooler.ts'
import { createBusyError, getDriverErrorCode } from '../prepared.ts'
import { createWaitEstimator } from './wait-estimate.ts'

/** Time-out for acquiring a connection. */
const CONNECT_TIMEOUT_MS = 3_000
/** Time-out for a query that tells how a pooler works. */
const PROBE_TIMEOUT_MS = 1_000
/** Connections are replaced after this time, so that they follow a server that has moved. */
const MAX_LIFETIME_S = 600
/**
 * Codes and messages of a server that is gone, starting, stopping, read-only, or out of
 * connections; or of a session that has lost its named statements, because a pooler changed its
 * mode.
 */
const CONNECTION_ERROR =
  /^(08|57P0|53|25006|26000|42P05)|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/
const INT8_OID = 20
const NO_TIME_LIMITS = setStatement({
  statement_timeout: 0,
  lock_timeout: 0,
  idle_in_transaction_session_timeout: 0
})
/** The application name by which the service is recognised on the server. */
export const APPLICATION_NAME = 'jira-confluence-connector'

/** Parses bigint as number: ids and times have at most 53 bits. */
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
export type RunQuery = (query: PoolQuery) => Promise<{ rows: unknown[] }>

/** Whether an error means that the server cannot be reached. */
export function isConnectionError(error: unknown): boolean {
  return (
    CONNECTION_ERROR.test(getDriverErrorCode(error) ?? '') ||
    /Connection terminated|connection error|server closed|query read timeout/i.test(
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
 * Creates the connection pool of one server, supervised by the health monitor.
 *
 * @param url as for libpq; `sslmode` requests TLS
 */
export function createPool(
  url: string,
  { poolSize, statementTimeoutMs, lockTimeoutMs, onAvailabilityChange }: EngineOptions
) {
  const clientOptions = {
    ...connectionOptions(url),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS
  }
  const sessionSettings = setStatement({
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    // A generic plan, made for the average owner, reads all rows of an owner that has far more
    // than others.
    plan_cache_mode: 'force_custom_plan'
  })
  // `allowExitOnIdle`: a process whose start failed exits at once, although connections are open.
  const pool = new pg.Pool({
    ...clientOptions,
    max: poolSize,
    // Statements of a shared transaction that do not need each other's rows are sent together.
    pipeline: true,
    maxLifetimeSeconds: MAX_LIFETIME_S,
    allowExitOnIdle: true,
    verify: (client, done) => {
      // With a time-out: a connection whose server has gone at this moment is given up.
      const query = { text: sessionSettings, query_timeout: CONNECT_TIMEOUT_MS } as pg.QueryConfig
      client.query(query).then(() => {
        done()
      }, done)
    }
  })
  const openClients = new Set<pg.PoolClient>()
  const waitEstimator = createWaitEstimator()
  pool.on('connect', (client) => {
    openClients.add(client)
    // The pending query reports the error; without a listener the process would end.
    client.on('error', () => {})
  })
  pool.on('remove', (client) => {
    openClients.delete(client)
  })
  // An idle connection that dies is replaced when it is needed.
  pool.on('error', () => {})

  const healthMonitor = createHealthMonitor({
    probe: async (signal) => {
      const client = new pg.Client(clientOptions)
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
      // Queries on these connections are never answered, or are answered by a server that has
      // been replaced.
      if (!isAvailable) openClients.forEach(destroySocket)
      onAvailabilityChange(isAvailable)
    }
  })

  /**
   * Runs work on a connection, which goes back to the pool, or is closed after a connection
   * error.
   */
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

    /**
     * Runs several queries on one connection in a transaction, REPEATABLE READ or READ
     * COMMITTED.
     *
     * @param lockStatement sent together with BEGIN, and with the first query of `work`, which must be
     *   a reading one
     */
    transaction: async <T>(
      work: (query: RunQuery) => Promise<T>,
      isolation: 'repeatable read' | 'read committed',
      lockStatement?: string
    ): Promise<T> =>
      await withClient(async (runQuery, client) => {
        const begin = `begin isolation level ${isolation}`
        const begun = client.query(
          lockStatement === undefined ? begin : `${begin}; ${lockStatement}`
        )
        try {
          if (lockStatement === undefined) await begun
          const [, result] = await Promise.all([begun, work(runQuery)])
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

/**
 * Opens one connection without time limits, for a caller that keeps it for long.
 *
 * @param name the application name on the server
 * @throws StartError behind a pooler that does not keep sessions
 */
export async function openDedicatedClient(
  url: string,
  name = APPLICATION_NAME
): Promise<pg.Client> {
  const openClient = async (options: pg.ClientConfig = {}) => {
    const client = new pg.Client({
      ...connectionOptions(url),
      application_name: name,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      ...options
    })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query(NO_TIME_LIMITS)
      return client
    } catch (error) {
      await client.end().catch(() => {})
      throw error
    }
  }
  const client = await openClient()
  try {
    await assertSessionPooling(
      client,
      async () => await openClient({ query_timeout: PROBE_TIMEOUT_MS })
    )
    return client
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/**
 * Sets parameters of a session. Not sent when the connection is opened: PgBouncer refuses a
 * connection that brings parameters it does not know, or ignores them.
 */
function setStatement(parameters: Record<string, string | number>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `set ${name} = ${value}`)
    .join('; ')
}

function connectionOptions(url: string) {
  return {
    connectionString: url.replace(/^postgres(ql)?(\+psycopg)?:/, 'postgresql:'),
    application_name: APPLICATION_NAME,
    keepAlive: true
  }
}

/** Closes the socket to a server that does not respond; the driver offers no other way. */
function destroySocket(client: object): void {
  ;(client as { connection?: { stream?: { destroy: () => void } } }).connection?.stream?.destroy()
}
