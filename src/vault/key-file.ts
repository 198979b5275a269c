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
  writeSync
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

const OWNER_ONLY = 0o600

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

/** Replaces a file at once: a reader sees the old or the new one. Keeps its mode and owner. */
function replaceFile(file: string, entries: readonly string[]): void {
  const { mode, uid, gid } = statSync(file)
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}`)
  try {
    const descriptor = openSync(temporary, 'wx', OWNER_ONLY)
    try {
      writeSync(descriptor, entries.map((entry) => `${entry}\n`).join(''))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    const made = statSync(temporary)
    if (made.uid !== uid || made.gid !== gid) chownSync(temporary, uid, gid)
    chmodSync(temporary, mode & 0o777)
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
