import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const FOLDER = join(ROOT, 'docs', 'operations')
/** What an installation consists of after `npm ci && npm prune --omit=dev`. */
const INSTALLED = ['package.json', 'dist', 'node_modules']
const BLOCK_TIMEOUT_MS = 300_000
/** Printed after each block. */
const END_MARK = 'END-OF-THE-BLOCK'

/** One fenced `sh` block of a page. */
export interface CommandBlock {
  page: string
  /** Line number of its first command. */
  line: number
  code: string
}

/** The names of the pages of docs/operations, such as `restore.md`. */
export function listPages(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith('.md'))
}

export const readPage = (page: string): string => readFileSync(join(FOLDER, page), 'utf8')

/** The `sh` blocks of a page of docs/operations, in their order. */
export function readBlocks(page: string): CommandBlock[] {
  const lines = readPage(page).split('\n')
  const blocks: CommandBlock[] = []
  for (let i = 0; i < lines.length; i++) {
    const fence = /^( *)```sh$/.exec(lines[i] ?? '')
    if (fence === null) continue
    const end = lines.indexOf(`${fence[1]}\`\`\``, i + 1)
    const code = lines.slice(i + 1, end).map((line) => line.slice(fence[1]?.length))
    blocks.push({ page, line: i + 2, code: code.join('\n') })
    i = end
  }
  return blocks
}

/** An empty folder with the installed program, as /opt/connector after an installation. */
export function createInstallation(t: TestContext): string {
  const folder = createTempFolder(t)
  for (const name of INSTALLED) symlinkSync(join(ROOT, name), join(folder, name))
  return folder
}

export interface NextBlock {
  /** Runs the next block, which has to contain `part`, and resolves to its stdout and stderr. */
  (part: string): Promise<string>
  /** The number of blocks that are left. */
  left: () => number
}

/**
 * Runs the blocks of a page one after another in one Bash, as a reader does who copies them into a
 * terminal. A failing command ends the shell and fails the test.
 * The caller asserts that none is left at the end.
 */
export function followPage(
  t: TestContext,
  page: string,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv }
): NextBlock {
  const blocks = readBlocks(page)
  const shell = spawn('bash', ['-euo', 'pipefail', '-s'], {
    cwd,
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    // Its own process group: what the page starts in the background ends with the test.
    detached: true
  })
  let output = ''
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  t.teardown(() => {
    if (shell.pid !== undefined) endGroup(shell.pid)
  })
  const take = (part: string): CommandBlock => {
    const block = blocks.shift()
    if (block === undefined) throw new Error(`${page} has no further block: ${part}`)
    if (!block.code.includes(part)) throw new Error(`${describe(block)} does not contain ${part}`)
    return block
  }
  const run = async (part: string): Promise<string> => {
    const block = take(part)
    output = ''
    shell.stdin.write(`${block.code}\nprintf '%s\\n' ${END_MARK}\n`)
    await waitFor(() => output.includes(END_MARK) || shell.exitCode !== null, BLOCK_TIMEOUT_MS)
    if (!output.includes(END_MARK)) {
      throw new Error(
        `${describe(block)} failed with ${shell.exitCode}:\n${block.code}\n---\n${output}`
      )
    }
    return output.replace(`${END_MARK}\n`, '')
  }
  return Object.assign(run, {
    left: () => blocks.length
  })
}

const describe = ({ page, line }: CommandBlock): string => `docs/operations/${page}:${line}`

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group has ended.
  }
}
