import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { sql } from 'drizzle-orm'
import { openEngine } from '../../src/store/open-engine.ts'
import { createStore } from '../../src/store/index.ts'
import { TEST_SIGNER } from '../signatures.ts'
import { defineStoreContract } from './contract.ts'

const COMMIT_COUNT = process.env.HEAVY === '1' ? 1_000 : 200
const folder = mkdtempSync(join(tmpdir(), 'connector-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('SQLite in memory', (t) => {
  defineStoreContract(t, () => openEngine('sqlite::memory:'))
  t.end()
})

t.test('SQLite in a file', (t) => {
  let files = 0
  defineStoreContract(t, () => openEngine(`sqlite:///${join(folder, `${files++}.db`)}`))
  t.end()
})

t.test(
  'D2 D14 A connection syncs commits to disk, checks foreign keys, and uses a library without the WAL bug',
  async (t) => {
    const engine = await openEngine(`sqlite:///${join(folder, 'pragmas.db')}`)
    t.teardown(() => engine.close())
    await createStore(engine, Date.now, TEST_SIGNER).users.findOrCreate('a@b.co', null)
    const pragma = (name: string) =>
      Object.values(engine.db.get(sql.raw(`pragma ${name}`)) as object)[0] as unknown
    t.equal(pragma('synchronous'), 2, 'FULL')
    t.equal(pragma('foreign_keys'), 1)
    t.equal(pragma('journal_mode'), 'wal')
    t.equal(pragma('secure_delete'), 1)
    t.equal(pragma('integrity_check'), 'ok')
    t.ok((pragma('busy_timeout') as number) <= 100, 'the event loop is not blocked for long')
    const { version } = engine.db.get(sql.raw('select sqlite_version() as version')) as {
      version: string
    }
    t.ok(version.localeCompare('3.51.3', 'en', { numeric: true }) >= 0, version)
  }
)

const getSourceUrl = (path: string) => new URL(`../../src/${path}`, import.meta.url).href
const hasStrace =
  existsSync('/usr/bin/strace') &&
  spawnSync('/usr/bin/strace', ['-o', '/dev/null', 'true']).status === 0
t.test(
  `D2 Syncs ${COMMIT_COUNT} token commits to disk one by one${hasStrace ? '' : ' (skipped: no strace)'}`,
  { skip: !hasStrace },
  (t) => {
    const script = `
    const { openEngine } = await import('${getSourceUrl('store/open-engine.ts')}')
    const { createStore } = await import('${getSourceUrl('store/index.ts')}')
    const engine = await openEngine('sqlite:///' + ${JSON.stringify(join(folder, 'commits.db'))})
    const { generateKeyEntry, parseKeyring } = await import('${getSourceUrl('vault/keyring.ts')}')
    const { createSigner } = await import('${getSourceUrl('vault/signer.ts')}')
    const signer = createSigner(parseKeyring(generateKeyEntry('k')).keyring)
    const { users, grants } = createStore(engine, Date.now, signer)
    await users.findOrCreate('a@b.co', null)
    const tokens = {
      keyId: 'k', accessToken: 'a', refreshToken: 'r', previousRefreshToken: null,
      accessExpiresAt: new Date(), dueAt: null, scopes: 's'
    }
    await grants.connect(
      { id: 'g', clientId: 'c', accountId: 'x', ...tokens },
      {
        userId: 1, provider: 'jira', sites: [], selectedSites: [],
        state: 'active', reason: null, before: null
      }
    )
    console.error('BEGIN')
    for (let i = 1; i <= ${COMMIT_COUNT}; i++) {
      const attempt = { id: 'g', version: i, owner: String(i) }
      if (!await grants.beginRefresh(attempt, 0, 60000, new Date())) throw new Error('no lease')
      const fresh = { ...tokens, previousUntil: null, rotatedAt: new Date() }
      if (!(await grants.saveTokens(attempt, fresh)).done) throw new Error('lost')
    }
    console.error('END')
    engine.close()
  `
    const trace = join(folder, 'trace')
    const { status, stderr } = spawnSync(
      '/usr/bin/strace',
      [
        '-f',
        '-qq',
        '-e',
        'trace=fsync,fdatasync,write',
        '-s',
        '8',
        '-o',
        trace,
        process.execPath,
        '--input-type=module',
        '-e',
        script
      ],
      { cwd: fileURLToPath(new URL('../../', import.meta.url)), encoding: 'utf8' }
    )
    t.equal(status, 0, stderr)
    const calls = readFileSync(trace, 'utf8').split('\n')
    const from = calls.findIndex((line) => line.includes('write(2, "BEGIN'))
    const to = calls.findIndex((line) => line.includes('write(2, "END'))
    const syncs = calls.slice(from, to).filter((line) => /\b(fsync|fdatasync)\(/.test(line)).length
    t.ok(from > 0 && to > from, 'the commits are in the trace')
    t.ok(syncs >= COMMIT_COUNT, `${syncs} syncs for ${COMMIT_COUNT} commits`)
    t.end()
  }
)
