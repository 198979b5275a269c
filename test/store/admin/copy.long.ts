import t from 'tap'
import { runAuditVerify } from '../../audit/helper.ts'
import { generateKeyEntry } from '../../../src/vault/keyring.ts'
import { checkConnection } from '../../grants/helper.ts'
import { startPostgresServer } from '../../postgres/server.ts'
import { createTempFolder, startServiceProcess } from '../../process/child.ts'
import { runCommand } from '../../process/command.ts'
import {
  readResponses,
  markCopyInterrupted,
  hashFile,
  digestTables,
  getSqlitePath,
  fillDatabase,
  isSqlite,
  executeSql,
  createSqliteDatabase,
  fillWithPages,
  type DatabaseFactory
} from './helper.ts'

const server = await startPostgresServer()
t.teardown(() => server.remove())
// Each test spends half of its time on another process.
t.jobs = 4

const createPostgresDatabase: DatabaseFactory = async () => await server.createDatabase()
const DIRECTIONS: Array<[name: string, from: DatabaseFactory, to: DatabaseFactory]> = [
  ['SQLite to PostgreSQL', createSqliteDatabase, createPostgresDatabase],
  ['PostgreSQL to SQLite', createPostgresDatabase, createSqliteDatabase]
]

for (const [name, from, to] of DIRECTIONS) {
  t.test(
    `D13 ${name}: a service on the copy responds as before; the source is unchanged`,
    async (t) => {
      const cwd = createTempFolder(t)
      const [source, target] = [await from(cwd, 'source'), await to(cwd, 'target')]
      const { env, before, tokens } = await fillDatabase(t, source)
      const there = await digestTables(source)
      const bytes = isSqlite(source) ? hashFile(getSqlitePath(source)) : ''

      const output = await runCommand(['db', 'copy', '--to', target], {
        cwd,
        env: {
          INTEGRATION_DB_URL: source,
          DB_POOL_SIZE: '2'
        }
      })
      t.match(output, {
        code: 0,
        stdout: new RegExp(
          String.raw`^Copied [\d,]+ rows of \d+ tables in 0:\d\d \([\d,]+ rows/s\) and compared them ` +
            String.raw`in 0:\d\d: counts and checksums are equal\.\n` +
            'From now on run the service on one of the two only'
        )
      })
      t.match(
        await runCommand(['db', 'copy', '--to', target], {
          cwd,
          env: { INTEGRATION_DB_URL: source }
        }),
        {
          code: 0,
          stdout: /^Nothing is left to copy: counts and checksums are equal\.\n/,
          stderr: ''
        },
        'and again'
      )
      t.match(output.stderr, /^users: 1 copied\n[^]*^projects: \d+ copied$[^]*^Comparing\n$/m)
      t.same(await digestTables(target), there, 'same rows with ids and ciphertexts, nothing else')
      t.match(
        await runAuditVerify(target),
        { code: 0, stdout: /^[1-9]\d* rows are unchanged/ },
        'T18 the audit trail of the copy verifies'
      )
      t.same(await digestTables(source), there)
      if (isSqlite(source)) t.equal(hashFile(getSqlitePath(source)), bytes, 'to the byte')
      t.equal(tokens.filter((token) => JSON.stringify(output).includes(token)).length, 0)

      if (isSqlite(target)) {
        const wrong = await runCommand([], {
          cwd,
          env: {
            PORT: '0',
            ...env,
            INTEGRATION_DB_URL: target,
            VAULT_KEYS: generateKeyEntry('other')
          }
        })
        t.match(
          wrong,
          { code: 78, stderr: /^VAULT_KEYS lacks the key "test", and 2 stored grants need it\./ },
          'B1 no token decrypts without the key'
        )
      }
      const service = await startServiceProcess(t, {
        cwd,
        env: { ...env, INTEGRATION_DB_URL: target }
      })
      t.same(
        await readResponses(async (path) => await (await fetch(service.url + path)).json()),
        before
      )
      t.match(await checkConnection(service), { status: 200, body: { state: 'active' } })
      const made = await fetch(`${service.url}/users`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: 'new@example.com' })
      })
      t.match(await made.json(), { id: 2 }, 'ids continue where they ended')
      t.equal(await service.stop(), 0)
    }
  )

  t.test(
    `D13 ${name}: a partial copy starts no service, resumes from its own source only, includes later changes`,
    async (t) => {
      const cwd = createTempFolder(t)
      const [source, other, target] = [
        await from(cwd, 'source'),
        await from(cwd, 'other'),
        await to(cwd, 'target')
      ]
      await fillWithPages(source, 3_000)
      await fillWithPages(other, 10)
      t.match(await runCommand(['db', 'copy', '--from', source, '--to', target], { cwd }), {
        code: 0
      })
      await markCopyInterrupted(source, target)
      await executeSql(target, 'delete from pages where id > 2000')

      t.match(await runCommand([], { cwd, env: { PORT: '0', INTEGRATION_DB_URL: target } }), {
        code: 1,
        stderr: /^The database is an incomplete copy of another one\. .*\n$/
      })
      t.match(await runCommand(['db', 'migrate'], { cwd, env: { INTEGRATION_DB_URL: target } }), {
        code: 1,
        stderr: /^The database is an incomplete copy/
      })
      t.match(await runCommand(['db', 'copy', '--from', other, '--to', target], { cwd }), {
        code: 1,
        stdout: '',
        stderr: /^The database that --to names is an incomplete copy of another database\./
      })
      t.match(
        await runCommand(['db', 'copy', '--from', target, '--to', await to(cwd, 'third')], { cwd }),
        {
          code: 1,
          stdout: '',
          stderr: /^The database that --from names is itself an incomplete copy/
        }
      )

      await executeSql(source, "update pages set title = 'Renamed' where id = 500")
      await executeSql(source, 'delete from pages where id in (20, 6000)')
      await executeSql(
        source,
        "insert into users (email, email_key, created_at) values ('b@example.com', 'b@example.com', 5)"
      )
      await executeSql(target, "update users set display_name = 'Mallory'")
      const last = await runCommand(['db', 'copy', '--from', source, '--to', target], { cwd })
      t.match(last, {
        code: 0,
        stderr:
          /^users: the source or the copy has changed since the interruption\. Copying it again\.$/m
      })
      t.same(await digestTables(target), await digestTables(source))
      await executeSql(
        target,
        'insert into pages (owner_id, site, remote_id, revision, updated_at, space_key, ' +
          "page_id, title) values (3, 's', 'new', 1, 1, 'SP', 'new', 'New')"
      )
      t.same(
        await executeSql(
          target,
          "select cast(id as text) as id from pages where remote_id = 'new'"
        ),
        [{ id: '6001' }],
        'the id of a deleted row is not reused'
      )
    }
  )

  t.test(`D13 ${name}: detects rows that differ after the copy and names the table`, async (t) => {
    const cwd = createTempFolder(t)
    const [source, target] = [await from(cwd, 'source'), await to(cwd, 'target')]
    await fillWithPages(source, 500)
    await runCommand(['db', 'migrate'], { cwd, env: { INTEGRATION_DB_URL: target } })
    const body = isSqlite(target)
      ? [
          'create trigger spoil after insert on pages when new.id = 700 begin update pages set ' +
            "body = 'spoilt' where id = 700; end"
        ]
      : [
          'create function spoil() returns trigger language plpgsql as $$ begin new.body = ' +
            "'spoilt'; return new; end $$",
          'create trigger spoil before insert on pages for each row when (new.id = 700) ' +
            'execute function spoil()'
        ]
    for (const sql of body) await executeSql(target, sql)
    const spoilt = await runCommand(['db', 'copy', '--from', source, '--to', target], { cwd })
    t.match(spoilt, {
      code: 1,
      stdout: '',
      stderr: new RegExp(
        String.raw`Comparing\npages: the copy has as many rows as the source, but they differ\.\n` +
          String.raw`The copy differs from its source: do not use it\. .*\n$`
      )
    })
    t.match(await runCommand([], { cwd, env: { PORT: '0', INTEGRATION_DB_URL: target } }), {
      code: 1,
      stderr: /^The database is an incomplete copy/
    })
    await executeSql(
      target,
      isSqlite(target) ? 'drop trigger spoil' : 'drop trigger spoil on pages'
    )
    if (!isSqlite(target)) await executeSql(target, 'drop function spoil')
    const again = await runCommand(['db', 'copy', '--from', source, '--to', target], { cwd })
    t.match(again, {
      code: 0,
      stderr:
        /^pages: the source or the copy has changed since the interruption\. Copying it again\.$/m
    })
    t.same(await digestTables(target), await digestTables(source))
  })
}
