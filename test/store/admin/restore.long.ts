import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import Driver from 'better-sqlite3'
import t from 'tap'
import { generateKeyEntry } from '../../../src/vault/keyring.ts'
import { VAULT_KEY } from '../../helper.ts'
import { createTempFolder } from '../../process/child.ts'
import { runCommand } from '../../process/command.ts'
import {
  createSqliteDatabase,
  executeSql,
  fillDatabase,
  fillWithPages,
  hashFile
} from './helper.ts'

t.jobs = 2

t.test('D11 A restore that cannot succeed changes nothing, and says why', async (t) => {
  const cwd = createTempFolder(t)
  const url = await createSqliteDatabase(cwd, 'target')
  const { env } = await fillDatabase(t, url)
  const file = join(cwd, 'target.db')
  const restore = async (args: string[], more: NodeJS.ProcessEnv = {}) =>
    await runCommand(['db', 'restore', ...args], {
      cwd,
      env: { ...env, INTEGRATION_DB_URL: url, ...more }
    })
  t.match(
    await runCommand(['db', 'backup', '--to', 'backup.db'], {
      cwd,
      env: { INTEGRATION_DB_URL: url }
    }),
    { code: 0 }
  )
  const backup = join(cwd, 'backup.db')
  copyFileSync(backup, join(cwd, 'damaged.db'))
  truncateSync(join(cwd, 'damaged.db'), 100_000)
  writeFileSync(join(cwd, 'text.db'), 'no database, but a text '.repeat(100))
  copyFileSync(backup, join(cwd, 'newer.db'))
  await executeSql(
    `sqlite:///${join(cwd, 'newer.db')}`,
    'update __drizzle_migrations set created_at = created_at + 1000000000000'
  )
  const foreign = new Driver(join(cwd, 'foreign.db'))
  foreign.exec('create table mine (x)')
  foreign.close()

  const hash = hashFile(file)
  const backupHash = hashFile(backup)
  for (const [args, code, sentence, more] of [
    [[], 2, /^Give either --from or --restored\./],
    [['--from', 'backup.db', '--restored'], 2, /^Give either --from or --restored\./],
    [['--from', 'none.db'], 1, /^The database file that --from names does not exist\./],
    [['--from', file], 2, /^--from names the database itself\./],
    [['--from', 'damaged.db'], 1, /--from names (failed its integrity check|cannot be read)/],
    [['--from', 'text.db'], 1, /^The database file that --from names cannot be read/],
    [['--from', 'newer.db'], 1, /^The database was last used by a newer version/],
    [['--from', 'foreign.db'], 1, /^What --from names does not belong to this service\./],
    [
      ['--from', 'backup.db', '--to', 'postgres://127.0.0.1:1/x'],
      2,
      /^Restore a PostgreSQL database with pg_restore, then run `connector db restore --restored`/
    ],
    [['--from', 'backup.db'], 78, /key/, { VAULT_KEYS: generateKeyEntry('other') }],
    [['--restored', '--to', 'sqlite:///none.db'], 1, /names does not exist\./]
  ] as Array<[string[], number, RegExp, NodeJS.ProcessEnv?]>) {
    const result = await restore(args, more)
    t.match(result, { code, stdout: '', stderr: sentence }, args.join(' '))
    t.equal(hashFile(file), hash, 'the database is unchanged')
  }
  t.equal(hashFile(backup), backupHash)
  t.same(
    readdirSync(cwd).filter((name) => /restoring|\d{4}-/.test(name)),
    [],
    'nothing is left behind'
  )

  const holder = new Driver(file)
  holder.prepare('select count(*) from users').get()
  t.match(await restore(['--from', 'backup.db']), { code: 1, stderr: /Stop the service first/ })
  t.match(await restore(['--restored']), { code: 1, stderr: /in use/ })
  holder.close()
  t.equal(hashFile(file), hash)
})

t.test('D11 A damaged database, and one with an orphaned WAL file, can be replaced', async (t) => {
  const cwd = createTempFolder(t)
  const url = await createSqliteDatabase(cwd, 'target')
  await fillWithPages(url, 500)
  const [file, backup] = [join(cwd, 'target.db'), join(cwd, 'backup.db')]
  await executeSql(url, `vacuum into '${backup}'`)
  const restore = async () =>
    await runCommand(['db', 'restore', '--from', backup, '--json'], {
      cwd,
      env: { VAULT_KEYS: VAULT_KEY, INTEGRATION_DB_URL: url }
    })
  // The vault keys that fillWithPages invents open nothing.
  await executeSql(`sqlite:///${backup}`, 'delete from vault_keys')

  // A process was killed: changes are in the WAL file only.
  const killed = new Driver(file)
  killed.pragma('wal_autocheckpoint = 0')
  killed.exec("update pages set title = 'changed'")
  for (const suffix of ['', '-wal']) copyFileSync(`${file}${suffix}`, `${file}.saved${suffix}`)
  killed.close()
  for (const suffix of ['', '-wal']) copyFileSync(`${file}.saved${suffix}`, `${file}${suffix}`)

  const countChanged = (path: string) => {
    const db = new Driver(path)
    t.equal(db.pragma('integrity_check', { simple: true }), 'ok', path)
    const { n } = db.prepare("select count(*) as n from pages where title = 'changed'").get() as {
      n: number
    }
    db.close()
    return n
  }
  const healthy = await restore()
  t.match(healthy, { code: 0, stderr: '' })
  const { kept, audit_problem: problem } = JSON.parse(healthy.stdout)
  t.equal(problem, null)
  t.equal(countChanged(file), 0, 'the old WAL file does not meet the new database')
  t.equal(countChanged(kept), 500, 'the kept database has what was in its WAL file')

  writeFileSync(file, 'damaged '.repeat(1_000))
  writeFileSync(`${file}-wal`, 'damaged '.repeat(1_000))
  const damaged = await restore()
  t.match(damaged, { code: 0 })
  const { kept: keptDamaged } = JSON.parse(damaged.stdout)
  t.match(readFileSync(keptDamaged, 'utf8'), /^damaged/)
  t.ok(existsSync(`${keptDamaged}-wal`), 'beside it its WAL file')
  t.equal(countChanged(file), 0)

  const [one, other] = [healthy, damaged].map(({ stdout }) => JSON.parse(stdout).feed_epoch)
  t.ok(one > 0 && other > 0 && one !== other, 'two restores of one backup start two epochs')
})
