// Builds dist/: the service and its JavaScript dependencies in about 100 files, so that a start
// does not read 1,500 (figures: docs/deployment.md). Plain JavaScript, because `npm ci` runs it on
// whatever Node the machine has.
//
//   --optional   exit 0 if the build tool is not installed, as after `npm ci --omit=dev`
//   --if-stale   the same, without a message, and build only if dist/ is not current
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findStaleReason, fingerprintPackages, FINGERPRINT_FILE } from '../src/lib/build-age.js'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
/** Loaded from node_modules: native code, a driver that only PostgreSQL needs, files to serve. */
const EXTERNAL = ['better-sqlite3', 'pg', '@fastify/swagger-ui']
/** What a start of the service may not need: it gets chunks by who imports it. */
const ON_DEMAND =
  /postgres|^src\/(cli|sandbox|main|store\/(admin|sqlite)|lib\/(outgoing-agent|source-))/
/** What commands do not need. */
const SERVICE = /^(plugins|routes|src\/(app|http))[./]/
const isStaleOnly = process.argv.includes('--if-stale')
const isOptional = isStaleOnly || process.argv.includes('--optional')

const reason = findStaleReason(ROOT)
if (!isStaleOnly || reason !== undefined) {
  const rolldown = await importRolldown()
  if (rolldown !== undefined) {
    if (isStaleOnly) console.error(`Building: ${reason}.`)
    await build(rolldown)
  } else if (!isStaleOnly) {
    // Before a start the program itself reports that dist/ is missing or not current.
    console.error(
      `Not built (${reason ?? 'dist/ is current'}): the build needs the development and optional ` +
        'packages, which "npm ci" installs unless it omits them.'
    )
    process.exitCode = isOptional ? 0 : 1
  }
}

async function importRolldown() {
  try {
    return (await import('rolldown')).rolldown
  } catch {
    // Absent, without its native part (--omit=optional), or for a newer Node than this one.
    return undefined
  }
}

/** @param {typeof import('rolldown').rolldown} rolldown */
async function build(rolldown) {
  const folder = join(ROOT, `dist.${process.pid}`)
  try {
    const bundle = await rolldown({
      cwd: ROOT,
      input: Object.fromEntries([['main', 'src/main.js'], ...listAutoloaded()]),
      platform: 'node',
      external: (id) => EXTERNAL.some((name) => id === name || id.startsWith(`${name}/`))
    })
    await bundle.write({
      dir: folder,
      format: 'esm',
      sourcemap: true,
      comments: false,
      // As deep as src/lib/root-folder.ts, which counts on it.
      chunkFileNames: 'src/chunks/[name].js',
      codeSplitting: {
        // Each file costs a start half a millisecond.
        groups: [
          { name: nameVendorChunk, debugName: 'vendor', test: /node_modules/, priority: 2 },
          { name: 'core', test: isCore, priority: 1 },
          { name: 'service', test: isService }
        ]
      }
    })
    removeVendorMaps(join(folder, 'src/chunks'))
    escapeNonAscii(folder)
    for (const engine of ['sqlite', 'postgres']) {
      const migrations = `drizzle/${engine}/migrations`
      cpSync(join(ROOT, migrations), join(folder, migrations), { recursive: true })
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
    const commit = findCommit()
    if (commit !== undefined) writeFileSync(join(folder, 'commit'), commit)
    const fingerprint = fingerprintPackages(ROOT)
    if (fingerprint !== undefined) writeFileSync(join(folder, FINGERPRINT_FILE), fingerprint)
    rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
    renameSync(folder, join(ROOT, 'dist'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The commit for the start line: SOURCE_COMMIT where the build has no repository, as in an image. */
function findCommit() {
  const { SOURCE_COMMIT: given } = process.env
  if (given !== undefined && given !== '') return given
  if (!existsSync(join(ROOT, '.git'))) return undefined
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT, stdio: 'pipe' })
      .toString()
      .trim()
  } catch {
    return undefined
  }
}

/** What @fastify/autoload looks for by its file name: every plugin, and one file for each route folder. */
function listAutoloaded() {
  const plugins = readdirSync(join(ROOT, 'plugins')).map((file) => `plugins/${file}`)
  const routes = readdirSync(join(ROOT, 'routes')).map((name) =>
    name.endsWith('.ts') ? `routes/${name}` : `routes/${name}/index.ts`
  )
  return [...plugins, ...routes]
    .filter((file) => existsSync(join(ROOT, file)))
    .map((file) => [file.replace(/\.ts$/, ''), file])
}

/** Whether every start of the service loads a module, and commands may share it. */
function isCore(id) {
  const path = toSourcePath(id)
  return path.startsWith('src/') && !ON_DEMAND.test(path) && !SERVICE.test(path)
}

function isService(id) {
  return SERVICE.test(toSourcePath(id))
}

/** The path below the repository, with slashes. */
function toSourcePath(id) {
  return relative(ROOT, id).replaceAll('\\', '/')
}

/** Packages share a chunk, except those that a start may not need, and drizzle-orm's part for each driver. */
function nameVendorChunk(id) {
  const [, name, folder] =
    /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)[\\/]([^\\/]*)/.exec(id) ?? []
  if (name === 'drizzle-orm') return folder.endsWith('.js') ? 'vendor-drizzle' : `vendor-${folder}`
  return ['undici', 'commander'].includes(name) ? `vendor-${name}` : 'vendor'
}

/** Packages need no maps: their names and lines are nearly as published. */
function removeVendorMaps(folder) {
  for (const name of readdirSync(folder).filter((name) => /^vendor\b/.test(name))) {
    const path = join(folder, name)
    if (name.endsWith('.map')) rmSync(path)
    else {
      writeFileSync(path, readFileSync(path, 'utf8').replace(/\n\/\/# sourceMappingURL=.*$/m, ''))
    }
  }
}

/**
 * V8 keeps a source with one character beyond Latin-1 in twice the memory, and reads it more slowly.
 * After a backslash an escape would mean something else.
 */
function escapeNonAscii(folder) {
  for (const name of readdirSync(folder, { recursive: true })) {
    if (!name.endsWith('.js')) continue
    const path = join(folder, name)
    const text = readFileSync(path, 'utf8')
    const escaped = text.replace(
      /(?<!\\)[^\0-\x7f]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    )
    if (escaped !== text) writeFileSync(path, escaped)
  }
}
