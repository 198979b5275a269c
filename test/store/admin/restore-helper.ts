import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MAIN_PATH } from '../../process/command.ts'

const PAGE = readFileSync(
  fileURLToPath(new URL('../../../docs/operations/restore.md', import.meta.url)),
  'utf8'
)

/** The commands of a section of docs/operations/restore.md, one text for each `sh` block. */
export function readDrill(section: 'Practise' | 'SQLite' | 'PostgreSQL'): string[] {
  const [, text = ''] = PAGE.split(`\n## ${section}\n`)
  const [commands = ''] = text.split('\n## ')
  return [...commands.matchAll(/^ *```sh\n([^`]*?)\n *```$/gm)].map(([, code = '']) =>
    code.replace(/^ +/gm, '')
  )
}

/**
 * Runs one block as a reader does. `node dist/main.js` is the program's source.
 *
 * @throws Error with the output if it fails
 */
export async function runBlock(
  code: string,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv }
): Promise<string> {
  const bin = join(cwd, 'bin')
  mkdirSync(bin, { recursive: true })
  writeFileSync(
    join(bin, 'node'),
    `#!/bin/sh\nshift\nexec '${process.execPath}' '${MAIN_PATH}' "$@"\n`
  )
  chmodSync(join(bin, 'node'), 0o755)
  const child = spawn('bash', ['-e', '-c', code], {
    cwd,
    timeout: 300_000,
    env: { PATH: `${bin}${delimiter}${process.env.PATH}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const [exitCode] = await once(child, 'close')
  if (exitCode !== 0) throw new Error(`${code}\nended with ${String(exitCode)}:\n${output}`)
  return output
}
