import { statSync, type Stats } from 'node:fs'
import { dirname, resolve } from 'node:path'

const GROUP_READABLE = 0o040
const GROUP_WRITABLE = 0o020
const OTHERS_READABLE = 0o004
const OTHERS_WRITABLE = 0o002
/** In a folder with this bit, users cannot rename or delete the entries of others. */
const STICKY = 0o1000
const ROOT_UID = 0

/** What is wrong with the owner or the mode of a file or folder. */
export interface TrustProblem {
  /** Completes a sentence that begins with the path. */
  text: string
  /** True if any user of the machine can use it, not only the members of one group. */
  isOpenToAll: boolean
}

/**
 * Checks that no other user of this machine can change a folder: its owner, its mode, and whether a
 * folder above it can be replaced. On Windows, which has no such modes, it finds nothing.
 *
 * @param isRead for a folder whose file is read, not written: others may add files to a sticky folder,
 *   as Kubernetes mounts secrets, because they cannot replace that file
 */
export function findFolderProblem(path: string, isRead = false): TrustProblem | undefined {
  const folder = resolve(path)
  const stats = readStats(folder)
  if (stats === undefined) return undefined
  if (isRead && (stats.mode & STICKY) !== 0 && hasTrustedOwner(stats)) return undefined
  const problem = findWriterProblem(stats)
  if (problem !== undefined) return problem
  for (let above = dirname(folder); ; above = dirname(above)) {
    const { mode = 0 } = readStats(above) ?? {}
    if ((mode & OTHERS_WRITABLE) !== 0 && (mode & STICKY) === 0) {
      return { text: `lies in ${above}, which every user can change`, isOpenToAll: true }
    }
    if (above === dirname(above)) return undefined
  }
}

/**
 * Checks that no other user of this machine can change a file.
 *
 * @param isSecret also checks that none can read it
 */
export function findFileProblem(path: string, isSecret = false): TrustProblem | undefined {
  const stats = readStats(path)
  if (stats === undefined) return undefined
  const problem = findWriterProblem(stats)
  if (problem !== undefined || !isSecret) return problem
  if ((stats.mode & OTHERS_READABLE) !== 0) {
    return {
      text: 'can be read by other users of this machine (chmod 600 ends that)',
      isOpenToAll: true
    }
  }
  return (stats.mode & GROUP_READABLE) !== 0
    ? { text: 'can be read by its group (chmod 600 ends that)', isOpenToAll: false }
    : undefined
}

function hasTrustedOwner({ uid }: Stats): boolean {
  return uid === process.getuid?.() || uid === ROOT_UID
}

function findWriterProblem(stats: Stats): TrustProblem | undefined {
  const { uid, mode } = stats
  if (!hasTrustedOwner(stats)) {
    return {
      text: `belongs to another user (uid ${uid}): run this as that user, or change the owner`,
      isOpenToAll: true
    }
  }
  if ((mode & OTHERS_WRITABLE) !== 0) {
    return {
      text: 'is writable by every user of this machine (chmod go-w ends that)',
      isOpenToAll: true
    }
  }
  return (mode & GROUP_WRITABLE) !== 0
    ? { text: 'is writable by its group (chmod g-w ends that)', isOpenToAll: false }
    : undefined
}

/** @returns undefined if there is no such file, or no owner and mode as on Windows */
function readStats(path: string): Stats | undefined {
  if (process.getuid === undefined) return undefined
  try {
    return statSync(path)
  } catch {
    // Whoever uses the path reports why it cannot.
    return undefined
  }
}
