import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findStaleReason, fingerprintPackages, FINGERPRINT_FILE } from '../../src/lib/build-age.js'
import type { TestContext } from '../types.ts'
import { createTempFolder } from './child.ts'

const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))
const LOCKED_PACKAGES = { '': { version: '1.0.0' }, 'node_modules/a': { version: '2.0.0' } }

/** A folder with one source, a lock file, and a build that is current. */
function createBuiltFolder(t: TestContext) {
  const root = createTempFolder(t)
  const write = (path: string, text: string, ageSeconds: number) => {
    const seconds = Date.now() / 1000 - ageSeconds
    writeFileSync(join(root, path), text)
    utimesSync(join(root, path), seconds, seconds)
  }
  const writeLock = (packages: object, indent: number) => {
    write('package-lock.json', JSON.stringify({ packages }, null, indent), 0)
  }
  for (const folder of ['src', 'dist']) mkdirSync(join(root, folder))
  write('src/main.js', '', 100)
  utimesSync(join(root, 'src'), 0, 0)
  writeLock(LOCKED_PACKAGES, 2)
  write('dist/main.js', '', 50)
  write(`dist/${FINGERPRINT_FILE}`, fingerprintPackages(root) ?? '', 50)
  return { root, write, writeLock }
}

t.test('A build is current until a source or a package version changes', (t) => {
  const { root, write, writeLock } = createBuiltFolder(t)
  t.equal(findStaleReason(root), undefined)

  writeLock(LOCKED_PACKAGES, 4)
  t.equal(findStaleReason(root), undefined, '`npm prune` rewrites the lock file')
  writeLock({ ...LOCKED_PACKAGES, 'node_modules/a': { version: '2.0.1' } }, 2)
  t.equal(findStaleReason(root), 'dist/ has other package versions than package-lock.json')

  rmSync(join(root, 'package-lock.json'))
  t.equal(findStaleReason(root), undefined, 'there is no lock file')

  write('src/main.js', '', 0)
  t.equal(findStaleReason(root), 'dist/ is older than src/main.js')
  rmSync(join(root, 'src'), { recursive: true })
  t.equal(findStaleReason(root), undefined, 'there is only the build')
  rmSync(join(root, 'dist'), { recursive: true })
  t.equal(findStaleReason(root), 'dist/ is missing')
  t.end()
})

t.test('Where the build tool is absent, only an explicit build fails', (t) => {
  const root = createTempFolder(t)
  for (const path of ['scripts/build.js', 'src/lib/build-age.js', 'package.json']) {
    cpSync(join(REPOSITORY_ROOT, path), join(root, path))
  }
  const build = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'scripts/build.js'), ...args],
      { encoding: 'utf8', env: {} }
    )
    return { status, stdout, stderr }
  }
  const oneLine = /^Not built \(dist\/ is missing\): .* "npm ci" .*\.\n$/
  t.match(build('--optional'), { status: 0, stdout: '', stderr: oneLine })
  t.same(build('--if-stale'), { status: 0, stdout: '', stderr: '' }, 'the start says what it runs')
  t.match(build(), { status: 1, stdout: '', stderr: oneLine })
  t.end()
})
