import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Driver from 'better-sqlite3'
import t from 'tap'
import { runAuditVerify } from '../../audit/helper.ts'
import { generateKeyEntry } from '../../../src/vault/keyring.ts'
import { pickByScale } from '../../auth/helper.ts'
import { checkConnection } from '../../grants/helper.ts'
import { createTempFolder, startServiceProcess } from '../../process/child.ts'
import { runCommand } from '../../process/command.ts'
import { readResponses, fillDatabase, createSqliteDatabase, fillWithPages } from './helper.ts'

t.jobs = 2
const BACKUP_COUNT = pickByScale(3, 20)
const WRITER_COUNT = 4

t.test(
  'D11 B1 T31 A backup has every write acknowledged before it began; its tokens need the key to decrypt',
  async (t) => {
    const cwd = createTempFolder(t)
    const url = await createSqliteDatabase(cwd, 'source')
    const { env, before, tokens } = await fillDatabase(t, url)
    const service = await startServiceProcess(t, { cwd, env: { ...env, INTEGRATION_DB_URL: url } })
    const acknowledged: string[] = []
    const over = new AbortController()
    const write = async (writer: number) => {
      for (let i = 0; !over.signal.aborted; i++) {
        const id = `${writer}-${i % 500}`
        const answer = await fetch(`${service.url}/confluence/pages`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            owner_id: 1,
            space_key: 'ENG',
            page_id: id,
            title: `Version ${i}`
          })
        })
        if (answer.ok) acknowledged.push(`${id} ${i}`)
      }
    }
    const writing = Array.from({ length: WRITER_COUNT }, async (_, writer) => {
      await write(writer)
    })

    for (let i = 0; i < BACKUP_COUNT; i++) {
      const file = join(cwd, `backup ${i}`)
      const acknowledgedNames = new Map(
        acknowledged.map((each) => each.split(' ') as [string, string])
      )
      const written = acknowledged.length
      t.match(
        await runCommand(['db', 'backup', '--to', file], { cwd, env: { INTEGRATION_DB_URL: url } }),
        {
          code: 0,
          stdout: /^.*backup \d+: \d+\.\d MB in \d+\.\d s, verified\.\n$/,
          stderr: ''
        }
      )
      t.ok(
        acknowledged.length > written,
        `${acknowledged.length - written} writes acknowledged during the backup`
      )
      t.equal(statSync(file).mode & 0o777, 0o600)
      t.same(
        readdirSync(cwd).filter((name) => name.startsWith('backup') && !/^backup \d+$/.test(name)),
        [],
        'one file and no other'
      )
      const db = new Driver(file, { readonly: true })
      t.equal(db.pragma('integrity_check', { simple: true }), 'ok')
      const pages = db.prepare("select page_id, title from pages where site = ''").all() as Array<{
        page_id: string
        title: string
      }>
      db.close()
      t.match(
        await runAuditVerify(`sqlite:///${file}`),
        { code: 0, stdout: /^[1-9]\d* rows are unchanged/ },
        'T18 its audit trail verifies'
      )
      const stored = new Map(
        pages.map(({ page_id: id, title }) => [id, Number(title.slice('Version '.length))])
      )
      t.same(
        [...acknowledgedNames].filter(
          ([id, version]) => !((stored.get(id) ?? -1) >= Number(version))
        ),
        [],
        `all ${acknowledgedNames.size} acknowledged pages are present, unchanged or newer`
      )
    }
    over.abort()
    await Promise.all(writing)
    t.equal(await service.stop(), 0)

    const file = join(cwd, `backup ${BACKUP_COUNT - 1}`)
    const bytes = readFileSync(file)
    t.equal(
      tokens.filter((token) =>
        [token, Buffer.from(token).toString('base64'), Buffer.from(token).toString('hex')].some(
          (form) => bytes.includes(form)
        )
      ).length,
      0,
      'B1 no token is readable in it'
    )
    const restored = { ...env, INTEGRATION_DB_URL: `sqlite:///${file}` }
    t.match(
      await runCommand([], {
        cwd,
        env: { PORT: '0', ...restored, VAULT_KEYS: generateKeyEntry('other') }
      }),
      {
        code: 78,
        stderr: /^VAULT_KEYS lacks the key "test", and 2 stored grants need it\./
      }
    )
    const again = await startServiceProcess(t, { cwd, env: restored })
    const now = await readResponses(async (path) => await (await fetch(again.url + path)).json())
    for (const path of [
      '/users',
      '/users/1/connections',
      '/jira/projects/1',
      '/jira/issues/1',
      '/confluence/spaces/1',
      '/integrations/jira/sync/runs'
    ]) {
      t.same(now[path], before[path], path)
    }
    t.match(await checkConnection(again), { status: 200, body: { state: 'active' } })
    t.equal(await again.stop(), 0)
  }
)

t.test(
  'D11 A backup overwrites no file, refuses PostgreSQL and damaged databases; exit 2 on invalid arguments',
  async (t) => {
    const cwd = createTempFolder(t)
    const url = await createSqliteDatabase(cwd, 'source')
    await fillWithPages(url, 2_000)
    const files = () => readdirSync(cwd).filter((name) => !name.startsWith('source'))
    const backup = async (args: string[], at = url) =>
      await runCommand(['db', 'backup', ...args], { cwd, env: { INTEGRATION_DB_URL: at } })
    for (const args of [[], ['--to', ' '], ['there']]) {
      t.match(
        await backup(args),
        {
          code: 2,
          stdout: '',
          stderr: new RegExp(
            String.raw`^(Missing required option --to|--to must name a file|Unexpected argument)\. Run ` +
              '`connector db backup --help`\\.\\n$'
          )
        },
        JSON.stringify(args)
      )
    }
    t.match(await backup(['--to', 'x'], 'postgres://u:pl4nted@127.0.0.1:1/d'), {
      code: 1,
      stdout: '',
      stderr:
        /^INTEGRATION_DB_URL names a PostgreSQL database\. Back it up with pg_dump \(docs\/backup\.md\)\.\n$/
    })
    t.match(await backup(['--to', 'x'], 'sqlite:///none.db'), {
      code: 1,
      stdout: '',
      stderr: /^The database file that INTEGRATION_DB_URL names does not exist\.\n$/
    })
    t.match(await backup(['--to', 'none/x']), {
      code: 1,
      stdout: '',
      stderr: /^The file that --to names cannot be created \(ENOENT\)\./
    })
    t.same(files(), [])

    writeFileSync(join(cwd, 'mine'), 'precious')
    t.match(await backup(['--to', 'mine']), {
      code: 1,
      stdout: '',
      stderr:
        /^The file that --to names exists already\. Nothing was changed; choose a new name\.\n$/
    })
    t.match(await backup(['--to', join(cwd, 'source.db')]), {
      code: 1,
      stderr: /^The file that --to names exists already/
    })
    t.equal(readFileSync(join(cwd, 'mine'), 'utf8'), 'precious')
    writeFileSync(join(cwd, 'x.partial'), '')
    t.match(await backup(['--to', 'x']), {
      code: 1,
      stdout: '',
      stderr: /^A file with the name of --to and the ending \.partial exists/
    })
    t.same(files(), ['mine', 'x.partial'])

    const source = new Driver(join(cwd, 'source.db'))
    const { rootpage } = source
      .prepare("select rootpage from sqlite_master where name = 'pages_by_title'")
      .get() as { rootpage: number }
    const size = source.pragma('page_size', { simple: true }) as number
    source.pragma('wal_checkpoint(truncate)')
    source.close()
    const bytes = readFileSync(join(cwd, 'source.db'))
    bytes.fill(0xab, (rootpage - 1) * size + 200, rootpage * size)
    writeFileSync(join(cwd, 'source.db'), bytes)
    t.match(await backup(['--to', 'y']), {
      code: 1,
      stdout: '',
      stderr: /^The backup failed its integrity check and was deleted\./
    })
    t.notOk(existsSync(join(cwd, 'y')) || existsSync(join(cwd, 'y.partial')))
  }
)
