import { statfsSync, statSync, type BigIntStats } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '../../lib/errors.ts'

/**
 * Below this, writes are about to fail. A small write alone does not tell: it may fit into the space
 * that the WAL file already has.
 */
const MIN_FREE_BYTES = 256 * 1024

/** The reasons that are no error of SQLite. `code` is read where errors are classified. */
const FILE_REPLACED = 'FILE_REPLACED'
const DISK_FULL = 'SQLITE_FULL'

/** Watches the file that a connection has open. */
export interface DatabaseFile {
  /**
   * A connection goes on writing to a file that was deleted or replaced under its name, and what it
   * writes is lost at the next start.
   *
   * @throws AppError `database_unavailable`
   */
  assertInPlace: () => void
  /** @throws AppError `database_unavailable` if the disk is full */
  assertFreeSpace: () => void
}

/** @param path the file of an open connection; undefined: in memory */
export function watchDatabaseFile(path: string | undefined): DatabaseFile {
  if (path === undefined) return { assertInPlace: () => {}, assertFreeSpace: () => {} }
  // The WAL file exists as long as a connection is open.
  const files = [path, `${path}-wal`].map((file) => ({ file, opened: getStats(file) }))

  return {
    assertInPlace() {
      for (const { file, opened } of files) {
        const current = getStats(file)
        if (opened === undefined || (current?.ino === opened.ino && current.dev === opened.dev)) {
          continue
        }
        throw new AppError(
          'database_unavailable',
          'The database file was deleted or replaced while the service runs. Restart the service.',
          { cause: Object.assign(new Error('The file is another one.'), { code: FILE_REPLACED }) }
        )
      }
    },

    assertFreeSpace() {
      const { bavail, bfree, bsize } = statfsSync(dirname(path))
      // Blocks that are reserved for root.
      const blocks = process.getuid?.() === 0 ? bfree : bavail
      if (blocks * bsize >= MIN_FREE_BYTES) return
      throw new AppError('database_unavailable', 'The disk of the database is full.', {
        cause: Object.assign(new Error('The disk is full.'), { code: DISK_FULL })
      })
    }
  }
}

/** @returns undefined where there is no such file */
function getStats(file: string): BigIntStats | undefined {
  return statSync(file, { bigint: true, throwIfNoEntry: false })
}

/** What to do when a file cannot be opened, by the driver's error code. */
const OPEN_FIXES: ReadonlyArray<[code: RegExp, fix: string]> = [
  [/^$/, 'Create the folder, owned by the user that runs the service.'],
  [/^SQLITE_(FULL|IOERR)/, 'Check the disk and its free space.'],
  [/^SQLITE_(NOTADB|CORRUPT)/, 'It is damaged or no database: restore a backup.'],
  [/^SQLITE_BUSY/, 'Another process is using it: stop that process.'],
  [/./, 'Let the user that runs the service write to the file and to its folder.']
]

/**
 * @param name the setting or option that names the file
 * @param code the driver's error code
 */
export function notWritableMessage(name: string, code: string | undefined): string {
  const [, fix] = OPEN_FIXES.find(([pattern]) => pattern.test(code ?? '')) ?? []
  return (
    `The database file that ${name} names cannot be opened for writing ` +
    `(${code ?? 'no such folder'}). ${fix}`
  )
}
