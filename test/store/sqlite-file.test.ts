import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Driver from 'better-sqlite3'
import t from 'tap'
import type { StartError } from '../../src/lib/errors.ts'
import { openEngine } from '../../src/store/open-engine.ts'
import { assertLocalFile } from '../../src/store/sqlite/file-system.ts'
import { buildTestApp, waitFor } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'

const isRoot = process.getuid?.() === 0
const NOBODY_UID = 65_534

async function startOnFile(t: TestContext, folder = createTempFolder(t)) {
  const file = join(folder, 'integration.db')
  const { app, lines } = await buildTestApp(t, { INTEGRATION_DB_URL: `sqlite:///${file}` })
  const addUser = async (email: string) =>
    await app.inject({ method: 'POST', url: '/users', payload: { email } })
  return { app, lines, folder, file, addUser }
}

t.test('E4 A damaged file is not ready, whatever the connection has in its cache', async (t) => {
  for (const [damage, reason] of [
    ['header', 'damaged'],
    ['page', 'damaged']
  ] as const) {
    const { app, file, addUser } = await startOnFile(t)
    t.equal((await addUser('a@example.com')).statusCode, 201)
    t.equal((await app.inject('/users')).statusCode, 200)
    const other = new Driver(file)
    other.pragma('wal_checkpoint(truncate)')
    const { rootpage } = other
      .prepare("select rootpage from sqlite_master where name = 'audit'")
      .get() as { rootpage: number }
    const size = other.pragma('page_size', { simple: true }) as number
    other.close()
    const handle = openSync(file, 'r+')
    writeSync(
      handle,
      Buffer.alloc(64, 0xab),
      0,
      64,
      damage === 'header' ? 0 : (rootpage - 1) * size
    )
    const answer = await app.inject('/readyz')
    t.equal(answer.statusCode, 503, damage)
    t.match(answer.json(), { checks: { database: 'failed' }, reasons: { database: reason } })
    t.equal((await app.inject('/livez')).statusCode, 200)
  }
})

t.test('D11 No write is acknowledged after the file was deleted or replaced', async (t) => {
  for (const [name, harm] of [
    [
      'deleted',
      (file: string) => {
        rmSync(file)
      }
    ],
    [
      'replaced',
      (file: string) => {
        copyFileSync(file, `${file}.new`)
        renameSync(`${file}.new`, file)
      }
    ],
    [
      'WAL deleted',
      (file: string) => {
        rmSync(`${file}-wal`)
      }
    ]
  ] as const) {
    const { app, file, addUser } = await startOnFile(t)
    t.equal((await addUser('a@example.com')).statusCode, 201)
    t.equal((await app.inject('/readyz')).statusCode, 200)
    harm(file)
    const answer = await addUser('b@example.com')
    t.equal(answer.statusCode, 503, name)
    t.match(answer.json(), { code: 'database_unavailable', detail: /deleted or replaced/ })
    await waitFor(async () => (await app.inject('/readyz')).statusCode === 503)
    t.match((await app.inject('/readyz')).json(), { reasons: { database: 'file_replaced' } })
    t.equal((await app.inject('/livez')).statusCode, 200)
  }
})

t.test('E4 A full disk is not ready, and ready again when space is free', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'connector-disk-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder])
  if (mounted.status !== 0) {
    rmSync(folder, { recursive: true })
    return t.pass('skipped', { skip: 'this user may not mount a file system' })
  }
  t.teardown(() => {
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  const { app, addUser } = await startOnFile(t, folder)
  t.equal((await addUser('a@example.com')).statusCode, 201)
  const filler = openSync(join(folder, 'filler'), 'w')
  const fill = () => {
    try {
      while (writeSync(filler, Buffer.alloc(4_096)) > 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
  }
  t.equal(fill(), 'ENOSPC')
  await waitFor(async () => (await app.inject('/readyz')).statusCode === 503)
  t.match((await app.inject('/readyz')).json(), { reasons: { database: 'disk_full' } })
  t.equal((await app.inject('/livez')).statusCode, 200)
  rmSync(join(folder, 'filler'))
  spawnSync('truncate', ['-s', '0', `/proc/${process.pid}/fd/${filler}`])
  await waitFor(async () => (await app.inject('/readyz')).statusCode === 200)
  t.equal((await addUser('b@example.com')).statusCode, 201)
})

t.test(
  'B7 A file or folder without the right to write stops the start with exit code 78',
  async (t) => {
    const folder = createTempFolder(t)
    chmodSync(folder, 0o755)
    const file = join(folder, 'integration.db')
    await (await openEngine(`sqlite:///${file}`)).close()
    const locked = join(folder, 'locked')
    mkdirSync(locked)
    copyFileSync(file, join(locked, 'integration.db'))
    chmodSync(join(locked, 'integration.db'), 0o666)
    chmodSync(file, 0o444)
    chmodSync(locked, 0o555)
    if (isRoot) process.seteuid?.(NOBODY_UID)
    try {
      for (const path of [file, join(locked, 'integration.db'), join(locked, 'new.db')]) {
        const error: unknown = await openEngine(`sqlite:///${path}`).catch((err: unknown) => err)
        t.match(
          error,
          {
            exitCode: 78,
            problems: [/INTEGRATION_DB_URL names cannot be opened for writing .* to its folder\.$/]
          },
          path
        )
      }
    } finally {
      if (isRoot) process.seteuid?.(0)
    }
  }
)

t.test('B7 A file on a network file system stops the start with exit code 78', async (t) => {
  const folder = createTempFolder(t)
  const start = (type: number, mounts = '') => {
    try {
      assertLocalFile(join(folder, 'integration.db'), 'INTEGRATION_DB_URL', {
        getType: () => type,
        readMounts: () => mounts
      })
    } catch (error) {
      const { problems, exitCode } = error as StartError
      return `${exitCode} ${problems.join()}`
    }
  }
  for (const [type, name] of [
    [0x6969, 'NFS'],
    [0xff534d42, 'CIFS'],
    // As 32-bit platforms return it.
    [0xff534d42 | 0, 'CIFS'],
    [0xfe534d42, 'SMB'],
    [0x01021997, '9P']
  ] as const) {
    t.match(start(type), new RegExp(String.raw`^78 .*network file system \(${name}\).*PostgreSQL`))
  }
  const [EXT4, TMPFS, OVERLAY, FUSE] = [0xef53, 0x01021994, 0x794c7630, 0x65735546]
  for (const type of [EXT4, TMPFS, OVERLAY]) t.equal(start(type), undefined)
  const mounts = (type: string) =>
    `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 0:44 / ${folder} rw shared:1 - ${type} host:/x rw\n`
  t.match(start(FUSE, mounts('fuse.sshfs')), /\(fuse\.sshfs\)/)
  t.equal(start(FUSE, mounts('fuse.mergerfs')), undefined, 'a local file system behind FUSE')
  t.equal(start(FUSE), undefined, 'nothing is known about the mount')
  t.doesNotThrow(() => {
    assertLocalFile(join(folder, 'integration.db'), 'INTEGRATION_DB_URL')
    assertLocalFile('/no/such/folder/integration.db', 'INTEGRATION_DB_URL')
  }, 'the real file system')
  t.match(readFileSync('/proc/self/mountinfo', 'utf8'), / \/ .* - /, 'the format that is parsed')
})
