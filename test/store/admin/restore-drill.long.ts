import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkConnection } from '../../grants/helper.ts'
import { startPostgresServer } from '../../postgres/server.ts'
import { createTempFolder, startServiceProcess, type ServiceProcess } from '../../process/child.ts'

import { runCommand } from '../../process/command.ts'
import { createSqliteDatabase, fillDatabase, getSqlitePath } from './helper.ts'
import { readDrill, runBlock } from './restore-helper.ts'

async function getJson(service: ServiceProcess, path: string) {
  const answer = await fetch(service.url + path)
  return { status: answer.status, body: (await answer.json()) as any }
}

async function addUser({ url }: ServiceProcess, email: string): Promise<number> {
  const answer = await fetch(`${url}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email })
  })
  return answer.status
}

async function addProject({ url }: ServiceProcess, key: string): Promise<void> {
  const answer = await fetch(`${url}/jira/projects`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ owner_id: 1, key, name: key })
  })
  if (!answer.ok) throw new Error(await answer.text())
}

/** Reads user 1's feed to its end; returns the cursor. */
async function readFeed(service: ServiceProcess, since = ''): Promise<string> {
  let cursor = since
  while (true) {
    const { status, body } = await getJson(
      service,
      `/users/1/changes${cursor === '' ? '' : `?since=${cursor}`}`
    )
    if (status !== 200) throw new Error(JSON.stringify(body))
    cursor = body.next
    if (body.more === false && body.changes.length === 0) return cursor
  }
}

/** What holds after every restore, whatever the engine. */
async function assertRestored(t: Test, service: ServiceProcess, cursors: string[]) {
  t.match(await getJson(service, '/readyz'), { status: 200 })
  t.match(await checkConnection(service), { status: 200, body: { state: 'active' } })
  const emails = (await getJson(service, '/users')).body.map(({ email }: any) => email)
  t.ok(emails.includes('before@example.com'), 'what was in the backup')
  t.notOk(emails.includes('after@example.com'), 'and nothing else')
  for (const cursor of cursors) {
    const answer = await getJson(service, `/users/1/changes?since=${cursor}`)
    t.match(answer, { status: 410, body: { code: 'cursor_expired' } })
    t.ok(await readFeed(service, answer.body.cursor), 'the cursor of the 410 begins a new copy')
  }
}

t.test('D11 The restore drill for SQLite, as documented, after the file was lost', async (t) => {
  const cwd = createTempFolder(t)
  const url = await createSqliteDatabase(cwd, 'integration')
  const filled = await fillDatabase(t, url)
  const env = { ...filled.env, INTEGRATION_DB_URL: url }
  let service = await startServiceProcess(t, { cwd, env })
  t.equal(await addUser(service, 'before@example.com'), 201)
  const cursors = [await readFeed(service)]

  const practice = readDrill('Practise')
  t.equal(practice.length, 1)
  t.match(
    await runBlock(practice.join('\n'), { cwd, env }),
    /is restored from \S+backup\.db: .*\nThe vault keys fit\. \d+ entries .* unchanged/
  )
  t.ok(await readFeed(service, cursors[0]), 'cursors of the running service stay valid')

  const [backup = '', restore = '', check = '', verify = '', ...rest] = readDrill('SQLite')
  t.same(rest, [], 'every command of the section is run')
  t.match(await runBlock(backup, { cwd, env }), /verified/)
  // More changes than the restored database will make before the reader comes back.
  for (const key of ['A', 'B', 'C']) await addProject(service, key)
  cursors.push(await readFeed(service, cursors[0]))
  t.equal(await addUser(service, 'after@example.com'), 201)

  await t.rejects(runBlock(restore, { cwd, env }), /Stop the service first/, 'while it runs')
  // The disaster: the service is not even stopped.
  const file = getSqlitePath(url)
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
  t.equal(await addUser(service, 'lost@example.com'), 503, 'no write into a deleted file')
  t.match(await getJson(service, '/readyz'), {
    status: 503,
    body: { reasons: { database: 'file_replaced' } }
  })
  await service.stop('SIGKILL')

  const output = await runBlock(restore, { cwd, env })
  t.match(
    output,
    /is restored from backup-1\.db: .*\nThe vault keys fit\. \d+ entries .* unchanged/
  )
  service = await startServiceProcess(t, { cwd, env })
  await runBlock(check, { cwd, env: { ...env, SERVICE_URL: service.url } })
  t.match(await runBlock(verify, { cwd, env }), /rows are unchanged/)
  await assertRestored(t, service, cursors)

  // Once more, over a healthy database: it is kept.
  const newCursor = await readFeed(service)
  t.equal(await addUser(service, 'kept@example.com'), 201)
  t.equal(await service.stop(), 0)
  t.match(await runBlock(restore, { cwd, env }), /previous database is kept/)
  const [kept = '', ...others] = readdirSync(cwd).filter((name) => /\.db\.\d{4}-/.test(name))
  t.same(others, [], 'one file, without a WAL file')
  const keptUrl = `sqlite:///${join(cwd, kept)}`
  service = await startServiceProcess(t, { cwd, env: { ...env, INTEGRATION_DB_URL: keptUrl } })
  t.match(JSON.stringify((await getJson(service, '/users')).body), /kept@example\.com/)
  t.equal(await service.stop(), 0)
  service = await startServiceProcess(t, { cwd, env })
  await assertRestored(t, service, [...cursors, newCursor])
  t.equal(await service.stop(), 0)
  t.notOk(existsSync(`${file}.restoring`))
})

t.test('D11 The restore drill for PostgreSQL, as documented', async (t) => {
  const cwd = createTempFolder(t)
  const server = await startPostgresServer()
  t.teardown(() => server.remove())
  const url = await server.createDatabase()
  const filled = await fillDatabase(t, url)
  let service = await startServiceProcess(t, {
    cwd,
    env: { ...filled.env, INTEGRATION_DB_URL: url }
  })
  t.equal(await addUser(service, 'before@example.com'), 201)
  const cursors = [await readFeed(service)]
  await service.stop()
  // In place of pg_dump and pg_restore, which the embedded server lacks: a copy has the same rows.
  const restoredUrl = await server.createDatabase()
  t.match(await runCommand(['db', 'copy', '--from', url, '--to', restoredUrl], { cwd }), {
    code: 0
  })
  service = await startServiceProcess(t, { cwd, env: { ...filled.env, INTEGRATION_DB_URL: url } })
  for (const key of ['A', 'B', 'C']) await addProject(service, key)
  cursors.push(await readFeed(service, cursors[0]))
  t.equal(await addUser(service, 'after@example.com'), 201)
  await service.stop('SIGKILL')

  const env = { ...filled.env, INTEGRATION_DB_URL: restoredUrl }
  const [finish = '', ...rest] = readDrill('PostgreSQL')
  t.same(rest, [])
  service = await startServiceProcess(t, { cwd, env })
  await t.rejects(runBlock(finish, { cwd, env }), /A service is using the database/)
  t.equal(await service.stop(), 0)
  t.match(await runBlock(finish, { cwd, env }), /The vault keys fit\. \d+ entries .* unchanged/)
  service = await startServiceProcess(t, { cwd, env })
  await assertRestored(t, service, cursors)
  t.equal(await service.stop(), 0)
})
