import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { databaseAt, onPostgres } from '../database.ts'
import { UNLIMITED, type Test } from '../helper.ts'

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url))

export interface Started {
  child: ChildProcess
  pid: number
  url: string
  cwd: string
  output: () => string
  /** Sends the signal; resolves to the exit code. */
  stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** A folder of its own that goes with the test. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'connector-'))
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

/**
 * Starts the real process and waits until it says where it listens. Unless told otherwise it uses the database of its folder.
 *
 * @param flags for Node itself
 * @param ready what it prints then; the first group is the address
 */
export async function start(
  t: Test,
  {
    env = {},
    args = [],
    flags = [],
    cwd = folder(t),
    ready = /Server listening at (http:[^"\s]+)/
  }: {
    env?: NodeJS.ProcessEnv
    args?: string[]
    flags?: string[]
    cwd?: string
    ready?: RegExp
  } = {}
): Promise<Started> {
  const database =
    onPostgres && args.length === 0
      ? { INTEGRATION_DB_URL: await databaseAt(t, `${cwd}/integration.db`) }
      : {}
  const child = spawn(process.execPath, [...flags, MAIN, ...args], {
    cwd,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      API_ACCESS: 'public',
      ...UNLIMITED,
      ...database,
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  const exited = once(child, 'exit')
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      const found = ready.exec(output)?.[1]
      if (found !== undefined) resolve(found)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
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
