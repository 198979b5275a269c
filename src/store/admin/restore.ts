import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync
} from 'node:fs'
import { dirname } from 'node:path'
import Driver from 'better-sqlite3'
import { StartError } from '../../lib/errors.ts'
import { getDriverErrorCode } from '../prepared.ts'
import { notWritableMessage } from '../sqlite/database-file.ts'
import { fsyncPath, verifyIntegrity } from './backup.ts'
import { openReadOnly } from './raw-sqlite.ts'

const DAMAGED_BACKUP_MESSAGE =
  'The file that --from names failed its integrity check: use another backup. Nothing was changed.'
const IN_USE_MESSAGE =
  'A process is using the database that is to be replaced. Stop the service first. ' +
  'Nothing was changed.'
/** Files that SQLite keeps beside a database. One of another database would damage the new one. */
const COMPANIONS = ['-wal', '-shm', '-journal']
const SQLITE_MAGIC = Buffer.from('SQLite format 3\0')
const OWNER_ONLY_MODE = 0o600

/** A file that is about to be replaced: no other process can use it until `release`. */
export interface LockedTarget {
  /** Writes its WAL file, if it has one, into the file, and removes it. */
  complete: () => void
  release: () => void
}

const UNLOCKED: LockedTarget = { complete: () => {}, release: () => {} }

/**
 * Locks the database that is to be replaced.
 *
 * @throws StartError if another process uses it
 */
export function lockTarget(file: string, name: string): LockedTarget {
  if (!existsSync(file)) return UNLOCKED
  // SQLite would remove the WAL file of a damaged database, which is to be kept.
  if (!hasHeader(file) && !isLockedByOthers(file)) return UNLOCKED
  let client: Driver.Database | undefined
  try {
    client = new Driver(file, { timeout: 0 })
    client.pragma('locking_mode = exclusive')
    // In this mode the lock is kept after the transaction.
    client.exec('begin exclusive; commit')
    const locked = client
    return {
      complete: () => {
        locked.pragma('wal_checkpoint(truncate)')
        locked.pragma('journal_mode = delete')
        locked.exec('begin exclusive')
        // In exclusive mode the empty journal stays until the connection is closed.
        rmSync(`${file}-journal`, { force: true })
      },
      release: () => {
        locked.close()
      }
    }
  } catch (error) {
    client?.close()
    const code = getDriverErrorCode(error) ?? ''
    // Damaged: SQLite cannot lock it, and it is kept as it is.
    if (/^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(code) && !isLockedByOthers(file)) {
      return UNLOCKED
    }
    throw new StartError(
      [
        /^SQLITE_(BUSY|CORRUPT|NOTADB|IOERR)/.test(code)
          ? IN_USE_MESSAGE
          : notWritableMessage(name, code)
      ],
      1
    )
  }
}

/** Whether a file begins as SQLite files do (https://sqlite.org/fileformat.html section 1.3). */
function hasHeader(file: string): boolean {
  const start = Buffer.alloc(SQLITE_MAGIC.length)
  const handle = openSync(file, 'r')
  readSync(handle, start)
  closeSync(handle)
  return start.equals(SQLITE_MAGIC)
}

/** Whether a process holds a lock on a file, as /proc/locks (proc_locks(5)) lists them. */
function isLockedByOthers(file: string): boolean {
  try {
    const { ino } = statSync(file, { bigint: true })
    return readFileSync('/proc/locks', 'utf8').includes(`:${ino} `)
  } catch {
    // Not Linux: the documented procedure stops the service first.
    return false
  }
}

/** Whether two paths lead to one file. */
export function isSameFile(a: string, b: string): boolean {
  return existsSync(a) && existsSync(b) && realpathSync(a) === realpathSync(b)
}

/**
 * Copies a backup beside the database that it is to replace, and checks the copy. The backup itself
 * is only read.
 *
 * @returns the copy
 * @throws StartError if the backup is damaged or the copy cannot be written
 */
export async function copyBackup(from: string, target: string): Promise<string> {
  const source = openReadOnly(from, '--from')
  const copy = `${target}.restoring`
  try {
    removeCopy(copy)
    closeSync(openSync(copy, 'wx', OWNER_ONLY_MODE))
    await source.backup(copy)
    // As the file it replaces, or as its folder, so that the service can open it.
    const hasTarget = existsSync(target)
    const { uid, gid, mode } = statSync(hasTarget ? target : dirname(target))
    chmodSync(copy, hasTarget ? mode & 0o777 : OWNER_ONLY_MODE)
    if (process.getuid?.() === 0) chownSync(copy, uid, gid)
    verifyIntegrity(copy, DAMAGED_BACKUP_MESSAGE)
    return copy
  } catch (error) {
    removeCopy(copy)
    if (error instanceof StartError) throw error
    const code = getDriverErrorCode(error) ?? 'unknown reason'
    throw new StartError(
      [
        /^SQLITE_(CORRUPT|NOTADB)/.test(code)
          ? DAMAGED_BACKUP_MESSAGE
          : `The backup could not be copied beside the database (${code}). Nothing was changed.`
      ],
      1
    )
  } finally {
    source.close()
  }
}

/** Removes a copy that was not put in place. */
export function removeCopy(copy: string): void {
  for (const suffix of ['', ...COMPANIONS]) rmSync(`${copy}${suffix}`, { force: true })
}

/**
 * Puts the copy in place of the database, which keeps its content under a name with the time. At
 * every moment the path leads to one of the two files, and never to one with the WAL file of the
 * other.
 *
 * @returns the name of the kept file; undefined if there was none
 */
export function replaceDatabase(copy: string, target: string): string | undefined {
  const client = new Driver(copy)
  // Completes the file; the service sets WAL mode again at start.
  client.pragma('journal_mode = delete')
  client.close()
  fsyncPath(copy)
  const kept = `${target}.${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
  const hasTarget = existsSync(target)
  if (hasTarget) keepUnder(target, kept)
  for (const suffix of COMPANIONS) {
    if (existsSync(`${target}${suffix}`)) renameSync(`${target}${suffix}`, `${kept}${suffix}`)
  }
  renameSync(copy, target)
  fsyncPath(dirname(target))
  return hasTarget ? kept : undefined
}

function keepUnder(target: string, kept: string): void {
  try {
    linkSync(target, kept)
  } catch (error) {
    // A file system without hard links.
    if (getDriverErrorCode(error) === 'EEXIST') throw error
    renameSync(target, kept)
  }
}
