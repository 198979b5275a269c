import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { TestContext } from '../types.ts'
import { appendKeyEntry, removeKeyEntry } from '../../src/vault/key-file.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { createTempFolder } from '../process/child.ts'

/** Debian's user nobody; any user without rights does. */
const SERVICE_UID = 65_534

const isRoot = process.getuid?.() === 0
const OLD = generateKeyEntry('old')
const NEW = generateKeyEntry('new')

function createKeyFile(t: TestContext, { owner, mode }: { owner: number; mode: number }): string {
  const folder = createTempFolder(t)
  chmodSync(folder, 0o711)
  const own = join(folder, 'keys-of-service')
  mkdirSync(own)
  const file = join(own, 'vault-keys')
  writeFileSync(file, `${OLD}\n`)
  chmodSync(file, mode)
  chownSync(own, SERVICE_UID, 0)
  chownSync(file, owner, 0)
  return file
}

/** Runs something as a user who belongs to no group of root, as the service does. */
function runAsService(work: () => void): void {
  const groups = process.getgroups?.() ?? []
  process.setgroups?.([])
  process.setegid?.(SERVICE_UID)
  process.seteuid?.(SERVICE_UID)
  try {
    work()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
    process.setgroups?.(groups)
  }
}

t.test(
  'B8 The owner of a key file adds and removes keys, also if its group is that of root',
  { skip: !isRoot && 'only root can give files to others' },
  (t) => {
    const file = createKeyFile(t, { owner: SERVICE_UID, mode: 0o600 })
    runAsService(() => {
      appendKeyEntry(file, NEW)
    })
    t.equal(readFileSync(file, 'utf8'), `${OLD}\n${NEW}\n`)
    runAsService(() => {
      t.ok(removeKeyEntry(file, 'old'))
    })
    t.equal(readFileSync(file, 'utf8'), `${NEW}\n`)
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.equal(statSync(file).uid, SERVICE_UID)
    t.end()
  }
)

t.test(
  'B8 A key file that cannot keep its owner, or a group with rights, stays as it is, and is named',
  { skip: !isRoot && 'only root can give files to others' },
  (t) => {
    for (const settings of [
      { owner: 0, mode: 0o644 },
      { owner: SERVICE_UID, mode: 0o640 }
    ]) {
      const file = createKeyFile(t, settings)
      t.throws(
        () => {
          runAsService(() => {
            appendKeyEntry(file, NEW)
          })
        },
        { name: 'StartError', message: `The key file ${file} cannot be replaced (EPERM).` },
        `mode ${settings.mode.toString(8)}`
      )
      t.equal(readFileSync(file, 'utf8'), `${OLD}\n`)
      t.equal(statSync(file).uid, settings.owner)
    }
    t.end()
  }
)
