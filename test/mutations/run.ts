import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTATIONS } from './all.ts'
import type { Mutation } from './mutation.ts'

/**
 * `npm run security:mutations`: breaks one defence after the other in a copy of the repository.
 * The test of each has to fail. `--tenth` tries a tenth of them, chosen by the commit; words choose
 * mutations by name; `--jobs` of them run at once.
 */
const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    tenth: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '2' }
  }
})
const TIMEOUT_MS = 900_000

const root = process.cwd()
const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()

function chooseMutations(): readonly Mutation[] {
  const named = MUTATIONS.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word))
  )
  if (!options.tenth) return named
  const commit = git('rev-parse', 'HEAD')
  const toOrder = ({ name }: Mutation) =>
    createHash('sha256')
      .update(commit + name)
      .digest('hex')
  return [...named]
    .sort((a, b) => (toOrder(a) < toOrder(b) ? -1 : 1))
    .slice(0, Math.ceil(named.length / 10))
}

const copies = new Set<string>()
/** Process groups of running tests. */
const groups = new Set<number>()

function endGroup(id: number): void {
  groups.delete(id)
  try {
    process.kill(-id, 'SIGKILL')
  } catch {
    // All of its processes have ended.
  }
}

// Nothing is left behind, also when somebody ends this command.
process.on('exit', () => {
  for (const id of groups) endGroup(id)
  for (const copy of copies) rmSync(copy, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Copies what the repository tracks; the packages are shared. */
function copyRepository(): string {
  const copy = mkdtempSync(join(tmpdir(), 'connector-mutations-'))
  copies.add(copy)
  const files = git('ls-files', '--cached', '--others', '--exclude-standard').split('\n')
  for (const file of files) cpSync(join(root, file), join(copy, file), { recursive: true })
  for (const folder of ['.tap', 'dist']) {
    cpSync(join(root, folder), join(copy, folder), { recursive: true, force: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

/** @returns whether the test failed by an assertion, and its output */
async function runTest(copy: string, test: string): Promise<{ failed: boolean; output: string }> {
  const tap = ['node_modules/.bin/tap', '--disable-coverage', '--jobs=1', '--bail', test]
  // A process group of its own: a broken test may leave processes behind.
  const child = spawn(process.execPath, tap, { cwd: copy, stdio: 'pipe', detached: true })
  const group = child.pid ?? 0
  groups.add(group)
  const timer = setTimeout(() => {
    endGroup(group)
  }, TIMEOUT_MS)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const [code] = (await once(child, 'exit')) as [number | null]
  clearTimeout(timer)
  endGroup(group)
  return { failed: code !== 0 && /^\s+(?:not ok|Bail out!) /m.test(output), output }
}

/** Tries one mutation in a copy. @returns whether its test failed */
async function tryMutation(copy: string, mutation: Mutation): Promise<boolean> {
  const { name, file, find, replace, test } = mutation
  const path = join(copy, file)
  const source = readFileSync(path, 'utf8')
  if (source.split(find).length !== 2) throw new Error(`${file} must contain once: ${find}`)
  writeFileSync(
    path,
    source.replace(find, () => replace)
  )
  const startedAt = performance.now()
  const { failed, output } = await runTest(copy, test)
  writeFileSync(path, source)
  const duration = `${Math.round((performance.now() - startedAt) / 1000)} s`
  console.log(`${failed ? 'noticed' : 'SURVIVED'}: ${name} (${test}, ${duration})`)
  if (!failed) console.log(output.slice(-2_000))
  return failed
}

const chosen = [...chooseMutations()]
const total = chosen.length
let survivors = 0
async function tryNext(): Promise<void> {
  const copy = copyRepository()
  for (let next = chosen.shift(); next !== undefined; next = chosen.shift()) {
    if (!(await tryMutation(copy, next))) survivors++
  }
}
await Promise.all(Array.from({ length: Number(options.jobs) }, tryNext))
console.log(`${total} mutations, ${survivors} of them not noticed`)
if (survivors > 0) process.exitCode = 1
