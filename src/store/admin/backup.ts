import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Driver from 'better-sqlite3'
import { StartError } from '../../lib/errors.ts'
import { getDriverErrorCode } from '../prepared.ts'
import { requireDatabaseFile, openReadOnly } from './raw-sqlite.ts'

const OWNER_ONLY_MODE = 0o600
const SETTING_NAME = 'INTEGRATION_DB_URL'
const DAMAGED_MESSAGE =
  'The backup failed its integrity check and was deleted. ' +
  'The database itself is probably damaged: check the disk first.'

/**
 * Copies a SQLite database into a new file as of one moment, while others write to it. The file
 * gets its final name only after the copy is complete and checked.
 *
 * @returns its size in bytes and the duration in ms
 * @throws StartError if the file exists, cannot be written, or the copy is damaged
 */
export async function backupDatabase(
  url: string,
  to: string
): Promise<{ bytes: number; ms: number }> {
  const startedAt = performance.now()
  const source = openReadOnly(requireDatabaseFile(url, SETTING_NAME), SETTING_NAME)
  const partialFile = `${to}.partial`
  try {
    if (existsSync(to)) {
      throw new StartError(
        ['The file that --to names exists already. Nothing was changed; choose a new name.'],
        1
      )
    }
    createExclusive(partialFile)
    try {
      // `source` is inside a transaction, so concurrent writers do not restart the backup.
      await source.backup(partialFile)
      verifyIntegrity(partialFile, DAMAGED_MESSAGE)
      fsyncPath(partialFile)
      renameSync(partialFile, to)
      fsyncPath(dirname(to))
    } catch (error) {
      rmSync(partialFile, { force: true })
      const code = getDriverErrorCode(error) ?? 'unknown reason'
      throw error instanceof StartError
        ? error
        : new StartError(
            [
              /^SQLITE_(CORRUPT|NOTADB)/.test(code)
                ? DAMAGED_MESSAGE
                : `The backup could not be written (${code}).`
            ],
            1
          )
    }
  } finally {
    source.close()
  }
  return { bytes: statSync(to).size, ms: performance.now() - startedAt }
}

function createExclusive(partialFile: string): void {
  try {
    closeSync(openSync(partialFile, 'wx', OWNER_ONLY_MODE))
  } catch (error) {
    const code = getDriverErrorCode(error)
    throw new StartError(
      [
        code === 'EEXIST'
          ? 'A file with the name of --to and the ending .partial exists: another backup is ' +
            'running, or one was interrupted. If none is running, delete it.'
          : `The file that --to names cannot be created (${code}). Check the folder and the permissions.`
      ],
      1
    )
  }
}

/** @throws StartError with `damagedMessage` if the integrity check fails */
export function verifyIntegrity(file: string, damagedMessage: string): void {
  const client = new Driver(file)
  try {
    // A backup is one file, without a WAL file beside it. The service sets WAL mode again at start.
    client.pragma('journal_mode = delete')
    const [integrity] = client.pragma('integrity_check') as Array<{ integrity_check: string }>
    const orphans = client.pragma('foreign_key_check') as unknown[]
    if (integrity?.integrity_check !== 'ok' || orphans.length > 0) {
      throw new StartError([damagedMessage], 1)
    }
  } finally {
    client.close()
  }
}

export function fsyncPath(path: string): void {
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
}
