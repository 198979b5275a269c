import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openEngine } from '../../../src/store/open-engine.ts'
import { pickByScale } from '../../auth/helper.ts'
import { startPostgresServer } from '../../postgres/server.ts'
import { createTempFolder, startServiceProcess } from '../../process/child.ts'
import { runCommand } from '../../process/command.ts'
import { executeSql } from './helper.ts'

const server = await startPostgresServer()
t.teardown(() => server.remove())
t.jobs = 4
const ENGINES = [
  {
    name: 'SQLite',
    make: async (cwd: string) => `sqlite:///${join(cwd, 'm.db')}`,
    table: '__drizzle_migrations'
  },
  {
    name: 'PostgreSQL',
    make: async () => await server.createDatabase(),
    table: 'drizzle.__drizzle_migrations'
  }
]

for (const { name, make, table } of ENGINES) {
  t.test(
    `D13 ${name}: refuses outdated tables if DB_AUTO_MIGRATE=false; starts after db:migrate, without keys`,
    async (t) => {
      const cwd = createTempFolder(t)
      const env = { INTEGRATION_DB_URL: await make(cwd), DB_AUTO_MIGRATE: 'false' }
      t.match(await runCommand([], { cwd, env: { PORT: '0', ...env } }), {
        code: 1,
        stderr: new RegExp(
          '^The database tables are older than this version, and DB_AUTO_MIGRATE is false: ' +
            String.raw`run "connector db migrate" first\.\n$`
        )
      })
      t.match(
        await runCommand(['db', 'migrate'], { cwd, env: { ...env, APP_ENV: 'production' } }),
        {
          code: 0,
          stdout: /^The tables are up to date: \d+ (migrations were|migration was) applied\.\n$/,
          stderr: ''
        }
      )
      t.match(await runCommand(['db', 'migrate'], { cwd, env }), {
        code: 0,
        stdout: /^The tables are up to date\.\n$/,
        stderr: ''
      })
      const { url, stop } = await startServiceProcess(t, { cwd, env })
      t.equal((await fetch(`${url}/healthz`)).status, 200)
      t.equal(await stop(), 0)
    }
  )

  t.test(`D13 ${name}: concurrent commands migrate once`, async (t) => {
    const cwd = createTempFolder(t)
    const url = await make(cwd)
    const outputs = await Promise.all(
      Array.from(
        { length: pickByScale(8, 20) },
        async () => await runCommand(['db', 'migrate'], { cwd, env: { INTEGRATION_DB_URL: url } })
      )
    )
    for (const output of outputs) {
      t.match(output, { code: 0, stdout: /^The tables are up to date/, stderr: '' })
    }
    const applied = await executeSql(url, `select created_at from ${table}`)
    t.equal(
      new Set(applied.map(({ created_at: at }) => at)).size,
      applied.length,
      'no migration twice'
    )
    await (await openEngine(url, { autoMigrate: false })).close()
  })
}

t.test('D13 Leaves a database of a newer version unchanged', async (t) => {
  const cwd = createTempFolder(t)
  const env = { INTEGRATION_DB_URL: `sqlite:///${join(cwd, 'm.db')}` }
  await runCommand(['db', 'migrate'], { cwd, env })
  await executeSql(
    env.INTEGRATION_DB_URL,
    "insert into __drizzle_migrations (hash, created_at) values ('x', 9999999999999)"
  )
  t.match(await runCommand(['db', 'migrate'], { cwd, env }), {
    code: 1,
    stdout: '',
    stderr: /^The database was last used by a newer version of this service\. .*\n$/
  })
})

t.test(
  'Exits with 2 on invalid arguments and 78 on invalid settings, and creates nothing',
  async (t) => {
    const cwd = createTempFolder(t)
    t.match(await runCommand(['db', 'migrate', 'now'], { cwd }), {
      code: 2,
      stdout: '',
      stderr: /^Unexpected argument\. Run `connector db migrate --help`\.\n$/
    })
    t.match(await runCommand(['db', 'migrate', '--help'], { cwd }), {
      code: 0,
      stdout: /^Usage: connector db migrate .*DB_AUTO_MIGRATE=false/s,
      stderr: ''
    })
    t.match(
      await runCommand(['db', 'migrate'], {
        cwd,
        env: {
          INTEGRATION_DB_URL: 'mysql://u:pl4nted@x/y',
          DB_POOL_SIZE: 'many'
        }
      }),
      { code: 78, stdout: '', stderr: /^INTEGRATION_DB_URL must be .*\nDB_POOL_SIZE must be .*\n$/ }
    )
    t.match(
      await runCommand(['db', 'migrate'], { cwd, env: { INTEGRATION_DB_ULR: 'sqlite:///x.db' } }),
      {
        code: 78,
        stdout: '',
        stderr:
          /^INTEGRATION_DB_ULR is not a setting of this service; did you mean INTEGRATION_DB_URL\?\n$/
      }
    )
    t.match(
      await runCommand(['db', 'migrate'], {
        cwd,
        env: {
          INTEGRATION_DB_URL: 'postgres://u:pl4nted@127.0.0.1:1/y'
        }
      }),
      {
        code: 1,
        stdout: '',
        stderr:
          /^The database that INTEGRATION_DB_URL names cannot be used \(ECONNREFUSED\)\. [^]*\n$/
      }
    )
    t.same(readdirSync(cwd), [])
  }
)
