import { readFileSync, realpathSync, statfsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { StartError } from '../../lib/errors.ts'

/**
 * File systems that several machines share, by the magic number that statfs(2) returns
 * (https://man7.org/linux/man-pages/man2/statfs.2.html, linux/magic.h). SQLite's locks and its
 * shared memory do not work on them, which damages the database (https://sqlite.org/wal.html,
 * https://sqlite.org/howtocorrupt.html section 2.1).
 */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x01021997, '9P'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2']
])
const FUSE_MAGIC = 0x65735546
/** FUSE serves local file systems too; the type in the list of mounts tells which program it is. */
const NETWORK_FUSE =
  /^fuse\.(sshfs|s3fs|goofys|rclone|gcsfuse|blobfuse2?|gluster\w*|ceph|juicefs|moosefs|davfs2?|smbnetfs)/i

/** What the operating system says about the file system of a folder. */
export interface FileSystemSource {
  /** The magic number of a folder's file system. */
  getType: (folder: string) => number
  /** The content of /proc/self/mountinfo (proc_pid_mountinfo(5)); empty where there is none. */
  readMounts: () => string
}

const OPERATING_SYSTEM: FileSystemSource = {
  getType: (folder) => statfsSync(folder).type,
  readMounts: () => {
    try {
      return readFileSync('/proc/self/mountinfo', 'utf8')
    } catch {
      return ''
    }
  }
}

/**
 * Refuses a database file on a network file system.
 *
 * @throws StartError
 */
export function assertLocalFile(
  path: string,
  name: string,
  { getType, readMounts }: FileSystemSource = OPERATING_SYSTEM
): void {
  const folder = findFolder(path)
  if (folder === undefined) return
  // The number is a signed 32-bit integer on some platforms.
  const type = getType(folder) >>> 0
  const network =
    type === FUSE_MAGIC
      ? NETWORK_FUSE.exec(findMountType(folder, readMounts()))?.[0]
      : NETWORK_FILE_SYSTEMS.get(type)
  if (network === undefined) return
  throw new StartError(
    [
      `The database file that ${name} names is on a network file system (${network}), where SQLite ` +
        'may lose or damage data. Put it on a local disk, or use PostgreSQL.'
    ],
    78
  )
}

/** @returns undefined where there is no such folder: opening the file reports that */
function findFolder(path: string): string | undefined {
  try {
    return dirname(realpathSync(path))
  } catch {
    try {
      return dirname(join(realpathSync(dirname(path)), basename(path)))
    } catch {
      return undefined
    }
  }
}

/** The type of the mount that holds a folder: the last one with the longest mount point. */
function findMountType(folder: string, mounts: string): string {
  let best = { point: '', type: '' }
  for (const line of mounts.split('\n')) {
    const [mount = '', source = ''] = line.split(' - ')
    const point = mount.split(' ')[4]?.replaceAll('\\040', ' ')
    const [type = ''] = source.split(' ')
    const isParent =
      point === '/' || folder === point || (point !== undefined && folder.startsWith(`${point}/`))
    if (point !== undefined && isParent && point.length >= best.point.length) best = { point, type }
  }
  return best.type
}
