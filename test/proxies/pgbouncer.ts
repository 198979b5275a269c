import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findFreePort } from '../network.ts'
import type { PostgresServer } from '../postgres/server.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'
import { startProgram, type Program } from './programs.ts'

/** PgBouncer does not run as root; this user has no rights. */
const NOBODY_UID = 65_534

/**
 * Starts PgBouncer in front of a server.
 *
 * @param settings lines of the `[pgbouncer]` section
 * @returns turns the URL of a database into one that leads through PgBouncer
 */
export async function startPgBouncer(
  t: TestContext,
  program: Program,
  server: PostgresServer,
  settings: string[]
): Promise<(url: string) => string> {
  const folder = createTempFolder(t)
  const port = await findFreePort()
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'auth_type = any',
      'unix_socket_dir =',
      ...settings
    ].join('\n')
  )
  const isRoot = process.getuid?.() === 0
  if (isRoot) chownSync(folder, NOBODY_UID, NOBODY_UID)
  await startProgram(t, isRoot ? copyProgram(program, folder) : program, ['pgbouncer.ini'], {
    cwd: folder,
    ports: [port],
    ...(isRoot ? { uid: NOBODY_UID, gid: NOBODY_UID } : {})
  })
  return (url) => url.replace(`:${server.port}/`, `:${port}/`)
}

/** Copies a program with its libraries to where a user without rights can read them. */
function copyProgram({ command, args, env }: Program, folder: string): Program {
  const copies = new Map<string, string>()
  const copy = (path: string) => {
    if (!path.startsWith('/') || !path.includes('/.cache/')) return path
    const target = join(folder, path.slice(path.indexOf('/.cache/')))
    if (!copies.has(path) && existsSync(path)) {
      mkdirSync(dirname(target), { recursive: true })
      cpSync(path, target, { recursive: true, verbatimSymlinks: true })
      copies.set(path, target)
    }
    return target
  }
  const copyAll = (paths: string) => paths.split(':').map(copy).join(':')
  const copied = {
    command: copy(command),
    args: args.map(copyAll),
    env: { ...env, LD_LIBRARY_PATH: copyAll(env.LD_LIBRARY_PATH ?? '') }
  }
  chmodSync(folder, 0o755)
  return copied
}
