import { execFile } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { fingerprintPackages } from '../../src/lib/build-age.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

/** A source tree of an earlier version that can be started. */
export interface PreviousVersion {
  commit: string
  /** The entry of its source. */
  main: string
}

/**
 * Checks out the version before the newest migration, or the commit that PREVIOUS_COMMIT names, with the
 * packages of its time.
 *
 * @returns why there is none, as in a clone without history
 */
export async function checkOutPreviousVersion(folder: string): Promise<PreviousVersion | string> {
  const commit = process.env.PREVIOUS_COMMIT ?? (await findCommitBeforeNewestMigration())
  if (commit === undefined) {
    return 'This clone does not have the commit before the newest migration.'
  }
  const archive = join(folder, 'previous.tar')
  const source = join(folder, 'previous')
  await run('git', ['archive', '--prefix=previous/', '-o', archive, commit], { cwd: ROOT })
  await run('tar', ['-xf', archive, '-C', folder])
  if (fingerprintPackages(source) === fingerprintPackages(ROOT)) {
    symlinkSync(join(ROOT, 'node_modules'), join(source, 'node_modules'))
  } else {
    const flags = ['--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
    try {
      await run('npm', ['ci', ...flags], { cwd: source })
    } catch (error) {
      return `The packages of ${commit} cannot be installed: ${(error as Error).message.slice(0, 300)}`
    }
  }
  return { commit, main: join(source, 'src/main.js') }
}

async function findCommitBeforeNewestMigration(): Promise<string | undefined> {
  try {
    const git = async (...args: string[]) =>
      (await run('git', args, { cwd: ROOT })).stdout.trim().slice(0, 12)
    const log = ['log', '-1', '--format=%H', '--diff-filter=A']
    const added = await git(...log, '--', 'drizzle/postgres/migrations/*.sql')
    return added === '' ? undefined : await git('rev-parse', '--verify', '--quiet', `${added}^`)
  } catch {
    return undefined
  }
}
