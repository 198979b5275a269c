import { join } from 'node:path'
import t from 'tap'
import { ensureDatabase, queryDatabase, readAllTables } from '../database.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { DAY_MS } from '../time.ts'
import { FIXTURE_KEY, listFixtures, loadFixture, TESTED_ENGINE, type Fixture } from './fixture.ts'

const MESSAGE =
  'The database was last used by a newer version of this service. ' +
  'Run that version, or restore a backup made before it.'
const MIGRATIONS_TABLE =
  TESTED_ENGINE === 'sqlite' ? '__drizzle_migrations' : 'drizzle.__drizzle_migrations'

t.test('A database of a newer version stops the start and is not changed', async (t) => {
  const folder = createTempFolder(t)
  const url = await ensureDatabase(t, join(folder, 'newer.db'))
  await loadFixture(listFixtures(TESTED_ENGINE).at(-1) as Fixture, TESTED_ENGINE, url, folder)
  await queryDatabase(
    url,
    `insert into ${MIGRATIONS_TABLE} (hash, created_at) values ('a later migration', ?)`,
    Date.now() + 1_000 * DAY_MS
  )
  const before = await readAllTables(url)
  const env = {
    INTEGRATION_DB_URL: url,
    VAULT_KEYS: FIXTURE_KEY,
    APP_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: '0'
  }
  for (const args of [[], ['db', 'migrate']]) {
    const { code, stdout, stderr } = await runCommand(args, { env })
    t.equal(code, 1)
    t.ok((stdout + stderr).includes(MESSAGE), `connector ${args.join(' ')}`)
  }
  t.same(await readAllTables(url), before)
})
