import { readdirSync } from 'node:fs'
import t from 'tap'
import { startPostgresServer } from '../../postgres/server.ts'
import { createTempFolder, startServiceProcess } from '../../process/child.ts'
import { runCommand } from '../../process/command.ts'
import {
  digestTables,
  executeSql,
  createSqliteDatabase,
  fillWithPages,
  type DatabaseFactory
} from './helper.ts'

const server = await startPostgresServer()
t.teardown(() => server.remove())
t.jobs = 4
const createPostgresDatabase: DatabaseFactory = async () => await server.createDatabase()

const ENGINES: Array<[name: string, engine: DatabaseFactory, migrations: string]> = [
  ['SQLite', createSqliteDatabase, '__drizzle_migrations'],
  ['PostgreSQL', createPostgresDatabase, 'drizzle.__drizzle_migrations']
]

async function runCopy(cwd: string, from: string, to: string) {
  return await runCommand(['db', 'copy', '--from', from, '--to', to], { cwd })
}

for (const [name, engine, migrations] of ENGINES) {
  t.test(
    `D13 ${name}: rejects a target that is not empty, of another program or version, and leaves it unchanged`,
    async (t) => {
      const cwd = createTempFolder(t)
      const [source, full, foreign, empty] = [
        await createSqliteDatabase(cwd, 'source'),
        await engine(cwd, 'full'),
        await engine(cwd, 'foreign'),
        await engine(cwd, 'empty')
      ]
      await fillWithPages(source, 10)
      await fillWithPages(full, 5)
      await executeSql(foreign, 'create table users (name text)')
      for (const [to, sentence] of [
        [full, /^The database that --to names is not empty: it has rows in users\./],
        [foreign, /^The database that --to names contains another program's tables\./]
      ] as const) {
        const before = await digestTables(to)
        t.match(await runCopy(cwd, source, to), { code: 1, stdout: '', stderr: sentence })
        t.same(await digestTables(to), before)
      }
      t.match(await runCopy(cwd, foreign, empty), {
        code: 1,
        stdout: '',
        stderr: /^The database that --from names does not belong to this service\.\n$/
      })
      t.match(await runCopy(cwd, full, full), {
        code: Number,
        stdout: '',
        stderr: /^(The database that --to names is in use|--from and --to name the same database)\./
      })
      await executeSql(full, `update ${migrations} set created_at = created_at - 1`)
      t.match(await runCopy(cwd, full, empty), {
        code: 1,
        stdout: '',
        stderr:
          /^The tables that --from names are older than this version: first run "connector db migrate" .*\n$/
      })
      await executeSql(full, `update ${migrations} set created_at = created_at + 10`)
      t.match(await runCopy(cwd, full, empty), {
        code: 1,
        stdout: '',
        stderr: /^The database was last used by a newer version/
      })
    }
  )

  t.test(
    `${name}: refuses to copy into a database in use; copies from one as of one moment, with a warning`,
    async (t) => {
      const cwd = createTempFolder(t)
      const [source, used] = [await createSqliteDatabase(cwd, 'source'), await engine(cwd, 'used')]
      await fillWithPages(source, 10)
      await startServiceProcess(t, { cwd, env: { INTEGRATION_DB_URL: used } })
      t.match(await runCopy(cwd, source, used), {
        code: 1,
        stdout: '',
        stderr: new RegExp(
          String.raw`^(The database that --to names is in use\. Stop the program that uses it|A ` +
            String.raw`service is using the database that --to names\. Stop it) first\.\n$`
        )
      })
      t.match(await runCopy(cwd, used, await createSqliteDatabase(cwd, 'copy')), {
        code: 0,
        stderr: /^The source seems to be in use/
      })
    }
  )
}

t.test(
  'Exits with 2 and the help on invalid arguments, without addresses or passwords in the output',
  async (t) => {
    const cwd = createTempFolder(t)
    const secret = 'pl4nted-password'
    const address = `postgres://u:${secret}@127.0.0.1:1/d`
    const WRONG: Array<[args: string[], code: number, sentence: RegExp]> = [
      [[], 2, /^Missing required option --to\. Run `connector db copy --help`\.\n$/],
      [[address], 2, /^Unexpected argument\. Run `connector db copy --help`\.\n$/],
      [[`--too=${address}`], 2, /^Unknown option --too\. /],
      [[`--to:${address}`], 2, /^Unknown option\. /],
      [['--to', ''], 2, /^--to must be sqlite:/],
      [['--to', `mysql://u:${secret}@h/d`], 2, /^--to must be sqlite:/],
      [['--to', 'sqlite:///x.db', '--from', `ftp://u:${secret}@h/d`], 2, /^--from must be sqlite:/],
      [
        ['--to', 'sqlite:///x.db', '--from', 'sqlite:///none.db'],
        1,
        /^The database file that --from names does not exist\.\n$/
      ],
      [
        ['--to', 'sqlite:///x.db'],
        1,
        /^The database file that INTEGRATION_DB_URL names does not exist\.\n$/
      ],
      [
        ['--to', 'sqlite:///x.db', '--from', 'sqlite::memory:'],
        1,
        /^--from names an in-memory database/
      ],
      [
        ['--to', 'sqlite:///x.db', '--from', address],
        1,
        /^The database that --from names cannot be used \(ECONNREFUSED\)\./
      ]
    ]
    const outputs = await Promise.all(
      WRONG.map(async ([args]) => await runCommand(['db', 'copy', ...args], { cwd }))
    )
    for (const [i, [args, code, sentence]] of WRONG.entries()) {
      const output = outputs[i]
      t.match(output, { code, stdout: '', stderr: sentence }, args.join(' '))
      t.notMatch(output?.stderr, new RegExp(`${secret}|\\n\\s+at `), args.join(' '))
    }
    t.match(await runCommand(['db', 'copy', '--help'], { cwd }), {
      code: 0,
      stdout: /PGPASSWORD.*--from <address>.*--to <address>/s,
      stderr: ''
    })
    t.same(readdirSync(cwd), [])
    const source = await createSqliteDatabase(cwd, 'source')
    await fillWithPages(source, 5)
    for (const to of [address, server.url('none').replace('postgres@', `postgres:${secret}@`)]) {
      const output = await runCommand(['db', 'copy', '--from', source, '--to', to], { cwd })
      t.match(output, {
        code: 1,
        stdout: '',
        stderr:
          /^The database that --to names cannot be used \((ECONNREFUSED|3D000)\)\. Check address/
      })
      t.notMatch(output.stderr, secret)
    }
    const emptyDatabase = await server.createDatabase()
    const output = await runCommand(
      [
        'db',
        'copy',
        '--from',
        source,
        '--to',
        emptyDatabase.replace('postgres@', `postgres:${secret}@`)
      ],
      { cwd }
    )
    t.match(output, { code: 0 })
    t.notMatch(JSON.stringify(output), secret)
  }
)
