import type pg from 'pg'
import { StartError } from '../../lib/errors.ts'

/** How many connections look for the server session of the first one. */
const PROBES = 3
/**
 * How often they look. While other programs use the pool, the first connection can get its former
 * session again by chance, and no other connection gets it.
 */
const ROUNDS = 20
const PID_QUERY = 'select pg_backend_pid() as pid'

/**
 * Refuses a pooler that gives a connection another server session for each transaction (PgBouncer
 * with `pool_mode = transaction` or `statement`). Named statements, time limits and the lock of
 * the migrations belong to a session: they would be missing, or apply to other programs.
 *
 * A connection keeps its session if the server process stays the same and no other connection
 * gets it. All connections ask at the same time, so that they compete for the sessions.
 *
 * @param client an idle connection
 * @param openProbe opens a further connection to the same address; its queries time out
 * @throws StartError with the setting to change
 */
export async function assertSessionPooling(
  client: pg.Client,
  openProbe: () => Promise<pg.Client>
): Promise<void> {
  const pid = await readBackendPid(client)
  // The id in the connection's cancel key (BackendKeyData in
  // https://www.postgresql.org/docs/current/protocol-flow.html): a pooler makes its own.
  if ((client as { processID?: number | null }).processID === pid) return
  const probes = await openProbes(openProbe)
  try {
    for (let round = 0; round < ROUNDS && probes.length > 0; round++) {
      const [ownPid, ...otherPids] = await Promise.all([client, ...probes].map(readBackendPid))
      if (ownPid !== pid || otherPids.includes(pid)) throw createPoolModeError()
    }
  } catch (error) {
    if (error instanceof StartError) throw error
    // A further connection gets no session, as in session mode when all are in use.
  } finally {
    await Promise.all(probes.map(async (probe) => await probe.end().catch(() => {})))
  }
}

/** Opens as many connections as are to be had: in session mode all can be in use. */
async function openProbes(openProbe: () => Promise<pg.Client>): Promise<pg.Client[]> {
  const probes: pg.Client[] = []
  try {
    while (probes.length < PROBES) probes.push(await openProbe())
  } catch {
    // No further connection is to be had.
  }
  return probes
}

async function readBackendPid(client: pg.Client): Promise<number> {
  return Number((await client.query(PID_QUERY)).rows[0]?.pid)
}

function createPoolModeError(): StartError {
  return new StartError(
    [
      'The database address leads to a connection pooler in transaction or statement mode. This ' +
        'service needs its sessions: set pool_mode=session for this database in pgbouncer.ini ' +
        "([databases] section), or use PostgreSQL's own address."
    ],
    1
  )
}
