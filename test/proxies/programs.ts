import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../helper.ts'
import { canConnect } from '../network.ts'
import type { TestContext } from '../types.ts'

const INSTALL_FOLDER = fileURLToPath(new URL('../../node_modules/.cache/proxies', import.meta.url))
/** Where install.sh unpacks packages of a later Debian release, which need its C library. */
const NEWER_FOLDER = join(INSTALL_FOLDER, 'newer')
const LOADER = 'usr/lib64/ld-linux-x86-64.so.2'

/** A program that install.sh unpacked, and what it needs to run. */
export interface Program {
  command: string
  args: string[]
  env: NodeJS.ProcessEnv
}

/** A program of this Debian release; of the machine where it is installed there. */
export function findProgram(name: string): Program {
  const command = ['sbin', 'bin']
    .flatMap((folder) => [join(INSTALL_FOLDER, 'usr', folder, name), `/usr/${folder}/${name}`])
    .find(existsSync)
  return {
    command: command ?? name,
    args: [],
    env: { LD_LIBRARY_PATH: listLibraryFolders(INSTALL_FOLDER).join(':') }
  }
}

/** A program of a later Debian release; undefined if it could not be downloaded. */
export function findNewerProgram(name: string): Program | undefined {
  const program = join(NEWER_FOLDER, 'usr/sbin', name)
  if (!existsSync(program)) return undefined
  return {
    command: join(NEWER_FOLDER, LOADER),
    args: ['--library-path', listLibraryFolders(NEWER_FOLDER).join(':'), program],
    env: {}
  }
}

function listLibraryFolders(root: string): string[] {
  const folder = join(root, 'usr/lib')
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
}

/** Starts a program, ends it with the test, and waits until it listens on all ports. */
export async function startProgram(
  t: TestContext,
  { command, args, env }: Program,
  more: string[],
  { ports, ...options }: { ports: number[]; cwd: string; uid?: number; gid?: number }
): Promise<ChildProcess> {
  const child = spawn(command, [...args, ...more], {
    ...options,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exited
  })
  await waitFor(async () => {
    if (child.exitCode !== null) {
      throw new Error(`${command} ended with ${child.exitCode}: ${output}`)
    }
    return (await Promise.all(ports.map(canConnect))).every(Boolean)
  }, 20_000)
  return child
}
