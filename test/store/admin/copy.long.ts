import t from 'tap'
import { verified } from '../../audit/helper.ts'
import { newKeyEntry } from '../../../src/vault/keyring.ts'
import { check } from '../../grants/helper.ts'
import { startServer } from '../../postgres/server.ts'
import { folder, start } from '../../process/child.ts'
import {
  answers,
  asInterrupted,
  bytesOf,
  command,
  contents,
  fileOf,
  filled,
  isSqlite,
  run,
  sqlite,
  withPages,
  type Make
} from './helper.ts'

const server = await startServer()
t.teardown(() => server.remove())
// Half of the time one waits for the other's process.
t.jobs = 4

const postgres: Make = async () => await server.createDatabase()
const WAYS: Array<[name: string, from: Make, to: Make]> = [
  ['SQLite to PostgreSQL', sqlite, postgres],
  ['PostgreSQL to SQLite', postgres, sqlite]
]

for (const [name, from, to] of WAYS) {
  t.test(
    `D13 ${name}: a service on the copy answers the same as before, and its grants open, with the key only; the source is as it was`,
    async (t) => {
      const cwd = folder(t)
      const [source, target] = [await from(cwd, 'source'), await to(cwd, 'target')]
      const { env, before, tokens } = await filled(t, source)
      const there = await contents(source)
      const bytes = isSqlite(source) ? bytesOf(fileOf(source)) : ''

      const output = await command(cwd, 'copy', ['--to', target], {
        INTEGRATION_DB_URL: source,
        DB_POOL_SIZE: '2'
      })
      t.match(output, {
        code: 0,
        stdout:
          /^[\d,]+ rows of \d+ tables copied in 0:\d\d \([\d,]+ rows\/s\) and compared in 0:\d\d: the same counts and checksums\.\nRun the service on one of the two only/
      })
      t.match(
        await command(cwd, 'copy', ['--to', target], { INTEGRATION_DB_URL: source }),
        {
          code: 0,
          stdout: /^Nothing is left to copy: the same counts and checksums\.\n/,
          stderr: ''
        },
        'and again'
      )
      t.match(output.stderr, /^users: 1 copied\n[^]*^projects: \d+ copied$[^]*^Comparing\n$/m)
      t.same(await contents(target), there, 'row for row, ids and ciphertexts, and nothing else')
      t.match(
        await verified(target),
        { code: 0, stdout: /^[1-9]\d* rows are as they were written/ },
        'T18 the audit trail can be followed in the copy'
      )
      t.same(await contents(source), there)
      if (isSqlite(source)) t.equal(bytesOf(fileOf(source)), bytes, 'to the byte')
      t.equal(tokens.filter((token) => JSON.stringify(output).includes(token)).length, 0)

      if (isSqlite(target)) {
        const wrong = await command(cwd, '', [], {
          ...env,
          INTEGRATION_DB_URL: target,
          VAULT_KEYS: newKeyEntry('other')
        })
        t.match(
          wrong,
          { code: 78, stderr: /^VAULT_KEYS lacks the key "test", and 2 stored grants need it\./ },
          'B1 without the key it is worth nothing'
        )
      }
      const service = await start(t, { cwd, env: { ...env, INTEGRATION_DB_URL: target } })
      t.same(await answers(async (path) => await (await fetch(service.url + path)).json()), before)
      t.match(await check(service), { status: 200, body: { state: 'active' } })
      const made = await fetch(`${service.url}/users`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: 'new@example.com' })
      })
      t.match(await made.json(), { id: 2 }, 'the next id is the next')
      t.equal(await service.stop(), 0)
    }
  )

  t.test(
    `D13 ${name}: a half-done copy starts no service, is finished from its own source only, and follows what has changed there meanwhile`,
    async (t) => {
      const cwd = folder(t)
      const [source, other, target] = [
        await from(cwd, 'source'),
        await from(cwd, 'other'),
        await to(cwd, 'target')
      ]
      await withPages(source, 3_000)
      await withPages(other, 10)
      t.match(await command(cwd, 'copy', ['--from', source, '--to', target]), { code: 0 })
      await asInterrupted(source, target)
      await run(target, 'delete from pages where id > 2000')

      t.match(await command(cwd, '', [], { INTEGRATION_DB_URL: target }), {
        code: 1,
        stderr: /^The database is a half-done copy of another one: finish it .*\n$/
      })
      t.match(await command(cwd, 'migrate', [], { INTEGRATION_DB_URL: target }), {
        code: 1,
        stderr: /^The database is a half-done copy/
      })
      t.match(await command(cwd, 'copy', ['--from', other, '--to', target]), {
        code: 1,
        stdout: '',
        stderr: /^The database that --to names is a half-done copy of another database\./
      })
      t.match(await command(cwd, 'copy', ['--from', target, '--to', await to(cwd, 'third')]), {
        code: 1,
        stdout: '',
        stderr: /^The database that --from names is itself a half-done copy/
      })

      await run(source, "update pages set title = 'Renamed' where id = 500")
      await run(source, 'delete from pages where id in (20, 6000)')
      await run(
        source,
        "insert into users (email, email_key, created_at) values ('b@example.com', 'b@example.com', 5)"
      )
      await run(target, "update users set display_name = 'Mallory'")
      const last = await command(cwd, 'copy', ['--from', source, '--to', target])
      t.match(last, {
        code: 0,
        stderr:
          /^users: the source has changed since it was copied, or the copy has; it is copied anew\.$/m
      })
      t.same(await contents(target), await contents(source))
      await run(
        target,
        "insert into pages (owner_id, site, remote_id, revision, updated_at, space_key, page_id, title) values (3, 's', 'new', 1, 1, 'SP', 'new', 'New')"
      )
      t.same(
        await run(target, "select cast(id as text) as id from pages where remote_id = 'new'"),
        [{ id: '6001' }],
        'an id that was given is not given again, even though its row is gone'
      )
    }
  )

  t.test(
    `D13 ${name}: what does not arrive as it was sent is found, and the table named`,
    async (t) => {
      const cwd = folder(t)
      const [source, target] = [await from(cwd, 'source'), await to(cwd, 'target')]
      await withPages(source, 500)
      await command(cwd, 'migrate', [], { INTEGRATION_DB_URL: target })
      const body = isSqlite(target)
        ? [
            "create trigger spoil after insert on pages when new.id = 700 begin update pages set body = 'spoilt' where id = 700; end"
          ]
        : [
            "create function spoil() returns trigger language plpgsql as $$ begin new.body = 'spoilt'; return new; end $$",
            'create trigger spoil before insert on pages for each row when (new.id = 700) execute function spoil()'
          ]
      for (const sql of body) await run(target, sql)
      const spoilt = await command(cwd, 'copy', ['--from', source, '--to', target])
      t.match(spoilt, {
        code: 1,
        stdout: '',
        stderr:
          /Comparing\npages: as many rows in the copy as in the source, but not the same\.\nThe copy is not good: do not use it\. .*\n$/
      })
      t.match(await command(cwd, '', [], { INTEGRATION_DB_URL: target }), {
        code: 1,
        stderr: /^The database is a half-done copy/
      })
      await run(target, isSqlite(target) ? 'drop trigger spoil' : 'drop trigger spoil on pages')
      if (!isSqlite(target)) await run(target, 'drop function spoil')
      const again = await command(cwd, 'copy', ['--from', source, '--to', target])
      t.match(again, {
        code: 0,
        stderr:
          /^pages: the source has changed since it was copied, or the copy has; it is copied anew\.$/m
      })
      t.same(await contents(target), await contents(source))
    }
  )
}
