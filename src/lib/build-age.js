import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

// Plain JavaScript: scripts/build.js and src/main.js read it on whatever Node the machine has.

const SOURCES = ['src', 'plugins', 'routes', 'drizzle', 'package-lock.json']

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
  return newer === undefined ? undefined : `dist/ is older than ${newer}`
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
