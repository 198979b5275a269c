import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

// Plain JavaScript: scripts/build.js and src/main.js read it on whatever Node the machine has.

const SOURCES = ['src', 'plugins', 'routes', 'drizzle']

/** The file of a build that records `fingerprintPackages()`. */
export const FINGERPRINT_FILE = 'packages.sha256'

/**
 * Says why the build of a repository is not current; undefined where it is, or where there is only
 * the build. Folders count too: they are newer when a file in them was deleted.
 *
 * @param {string} root the folder that holds src/ and dist/
 */
export function findStaleReason(root) {
  const build = join(root, 'dist/main.js')
  if (!existsSync(build)) return 'dist/ is missing'
  if (!existsSync(join(root, 'src/main.js'))) return undefined
  const builtAt = statSync(build).mtimeMs
  const newer = SOURCES.flatMap((path) => listTree(root, path)).find(
    (path) => statSync(join(root, path)).mtimeMs > builtAt
  )
  if (newer !== undefined) return `dist/ is older than ${newer}`
  const fingerprint = fingerprintPackages(root)
  if (fingerprint === undefined) return undefined
  const builtFile = join(root, 'dist', FINGERPRINT_FILE)
  return existsSync(builtFile) && readFileSync(builtFile, 'utf8') === fingerprint
    ? undefined
    : 'dist/ has other package versions than package-lock.json'
}

/**
 * Returns a hash of the versions that package-lock.json lists. `npm prune` rewrites the file, and npm
 * versions format it differently, so neither its age nor its bytes say whether packages changed.
 *
 * @param {string} root the folder that holds package-lock.json
 * @returns {string | undefined} undefined where there is no such file
 */
export function fingerprintPackages(root) {
  const path = join(root, 'package-lock.json')
  if (!existsSync(path)) return undefined
  const { packages } = JSON.parse(readFileSync(path, 'utf8'))
  const versions = Object.entries(packages).map(([name, { version }]) => `${name} ${version}`)
  return createHash('sha256').update(versions.sort().join('\n')).digest('hex')
}

/**
 * @param {string} root
 * @param {string} path a file or a folder in it
 * @returns {string[]} the path, and every file and folder below it
 */
function listTree(root, path) {
  const absolute = join(root, path)
  if (!existsSync(absolute)) return []
  if (!statSync(absolute).isDirectory()) return [path]
  return [path, ...readdirSync(absolute, { recursive: true }).map((below) => join(path, below))]
}
