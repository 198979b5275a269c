import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
  type Stats
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { StartError } from '../lib/errors.ts'

const OWNER_ONLY = 0o600
const GROUP_RIGHTS = 0o070
const ALL_RIGHTS = 0o777

/** Adds an entry at the end of a key file. */
export function appendKeyEntry(file: string, entry: string): void {
  replaceFile(file, [...readEntries(file), entry])
}

/**
 * Removes the entry of a key from a key file.
 *
 * @returns false if the file has none
 */
export function removeKeyEntry(file: string, id: string): boolean {
  const entries = readEntries(file)
  const kept = entries.filter((entry) => !entry.startsWith(`${id}:`))
  if (kept.length === entries.length) return false
  replaceFile(file, kept)
  return true
}

function readEntries(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter(Boolean)
}

/**
 * Replaces a file at once: a reader sees the old or the new one. Keeps its mode and owner.
 *
 * @throws StartError if this user may not; the file is unchanged
 */
function replaceFile(file: string, entries: readonly string[]): void {
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}`)
  try {
    const descriptor = openSync(temporary, 'wx', OWNER_ONLY)
    try {
      writeSync(descriptor, entries.map((entry) => `${entry}\n`).join(''))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    setOwnerAndMode(temporary, statSync(file))
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    const { code = 'unknown reason' } = error as NodeJS.ErrnoException
    throw new StartError(
      [
        `The key file ${file} cannot be replaced (${code}). Run this command as its owner, who must ` +
          'be able to write to its folder. Nothing was changed.'
      ],
      1
    )
  }
}

function setOwnerAndMode(file: string, { mode, uid, gid }: Stats): void {
  const made = statSync(file)
  if (made.uid !== uid || made.gid !== gid) {
    try {
      chownSync(file, uid, gid)
    } catch (error) {
      // Only root may give a file to a group of others. Without rights of its own the group decides
      // nothing, as in `install -m 0600 -o connector`, which leaves it to root.
      if (made.uid !== uid || (mode & GROUP_RIGHTS) !== 0) throw error
    }
  }
  chmodSync(file, mode & ALL_RIGHTS)
}
