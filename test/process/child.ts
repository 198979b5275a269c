import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureDatabase, isPostgres } from '../database.ts'
import { NO_RATE_LIMITS } from '../helper.ts'
import type { TestContext } from '../types.ts'
import { MAIN_PATH } from './command.ts'

/** The entry of the build that `npm run build` makes. */
export const BUILD_PATH = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface ServiceProcess {
  child: ChildProcess
  pid: number
  url: string
  cwd: string
  output: () => string
  /** Sends the signal; resolves to the exit code. */
  stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** A temporary directory, removed after the test. */
export function createTempFolder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'connector-'))
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

/**
 * Starts the real process and waits until it prints its address. By default it uses the database in
 * its directory, which production requires to be named.
 *
 * @param flags flags for Node
 * @param main the program: the source, or BUILD_PATH
 * @param ready matches the output when it is ready; the first group is the address
 */
export async function startServiceProcess(
  t: TestContext,
  {
    env = {},
    args = [],
    flags = [],
    main = MAIN_PATH,
    cwd = createTempFolder(t),
    ready = /Server listening at (http:[^"\s]+)/
  }: {
    env?: NodeJS.ProcessEnv
    args?: string[]
    flags?: string[]
    main?: string
    cwd?: string
    ready?: RegExp
  } = {}
): Promise<ServiceProcess> {
  const database =
    args.length === 0 && (isPostgres || env.APP_ENV === 'production')
      ? { INTEGRATION_DB_URL: await ensureDatabase(t, `${cwd}/integration.db`) }
      : {}
  const child = spawn(process.execPath, [...flags, main, ...args], {
    cwd,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      API_ACCESS: 'public',
      ...NO_RATE_LIMITS,
      ...database,
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  const exited = once(child, 'exit')
  const url = await new Promise<string>((resolve, reject) => {
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
      const address = ready.exec(output)?.[1]
      if (address !== undefined) resolve(address)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('exit', (code) => {
      reject(new Error(`The process ended with ${code}: ${output}`))
    })
  })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return (await exited)[0] as number | null
  }
  t.teardown(() => stop('SIGKILL'))
  return { child, pid: child.pid ?? 0, url, cwd, output: () => output, stop }
}
