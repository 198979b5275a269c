import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { buildTestApp, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { dropAuditTriggers, readAuditTrail, runAudit, runAuditVerify } from './helper.ts'

async function createTrail(t: Test, rows: number, env: NodeJS.ProcessEnv = {}) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const start = async (more: NodeJS.ProcessEnv = {}) =>
    (await buildTestApp(t, { INTEGRATION_DB_URL: url, ...env, ...more })).app
  const app = await start()
  const createUser = async (i: number | string, service = app) => {
    const payload = { email: `p${i}@example.com` }
    t.equal((await service.inject({ method: 'POST', url: '/users', payload })).statusCode, 201)
  }
  for (let i = 1; i <= rows; i++) await createUser(i)
  return { url, app, start, createUser }
}

/** Removes the rows behind `seq` and writes the head as if `seq` were the last. */
async function cutTrail(url: string, seq: number): Promise<void> {
  await dropAuditTriggers(url)
  await queryDatabase(url, 'delete from audit where seq > ?', seq)
  await queryDatabase(
    url,
    'update audit_head set seq = ?, hash = (select hash from audit where seq = ?)',
    seq,
    seq
  )
}

t.test(
  'T18 The database refuses to move the head of the trail back, or to remove it',
  async (t) => {
    const { url, createUser } = await createTrail(t, 3)
    const isPostgres = url.startsWith('postgres')
    for (const sql of [
      'update audit_head set seq = 2',
      'update audit_head set cut_seq = 9',
      'update audit_head set id = 2',
      'delete from audit_head',
      "insert into audit_head (id, seq, hash, cut_seq, cut_hash) values (2, 0, '', 0, '')",
      "insert into audit (seq, at, actor, action, hash) values (0, 1, 'key', 'refreshed', 'x')",
      ...(isPostgres
        ? ['truncate audit_head']
        : [
            "insert or replace into audit_head (id, seq, hash, cut_seq, cut_hash) values (1, 0, '', 0, '')",
            "insert or replace into audit (seq, at, actor, action, hash) values (2, 1, 'k', 'a', 'x')"
          ])
    ]) {
      await t.rejects(queryDatabase(url, sql), sql)
    }
    await createUser('more')
    t.match(await runAuditVerify(url), { code: 0, stdout: /^4 rows/ })
  }
)

t.test('T18 A cut trail is found even after the service has appended to it', async (t) => {
  const { url, start, app, createUser } = await createTrail(t, 6)
  await app.close()
  await cutTrail(url, 4)
  t.match(await runAuditVerify(url), { code: 1, stderr: /The end of the trail was changed/ })
  const restarted = await start()
  await createUser('after', restarted)
  t.match((await readAuditTrail(restarted)).map(({ id, action }) => [id, action]).slice(-2), [
    [5, 'audit_damaged'],
    [6, 'user_created']
  ])
  t.match(await runAuditVerify(url), { code: 1, stderr: /Row 5 says that the service found/ })
})

t.test(
  'T18 A running service notices that an earlier copy of the trail was put in place of the current one',
  async (t) => {
    const { url, app, createUser } = await createTrail(t, 3)
    const [head] = await queryDatabase(url, 'select * from audit_head')
    await createUser('lost')
    await dropAuditTriggers(url)
    await queryDatabase(url, 'delete from audit where seq > 3')
    await queryDatabase(
      url,
      'update audit_head set seq = 3, hash = ?, signature = ?',
      head?.hash,
      head?.signature
    )
    t.match(await runAuditVerify(url), { code: 0 }, 'its signature is right')
    await createUser('after')
    t.match((await readAuditTrail(app)).at(-2), {
      action: 'audit_damaged',
      detail: { expected: { count: 4 } }
    })
    t.match(await runAuditVerify(url), { code: 1, stderr: /Row 4 says/ })
  }
)

t.test(
  'T18 An anchor stored elsewhere reveals an earlier copy and a rewritten trail',
  async (t) => {
    const { url, app, createUser } = await createTrail(t, 3)
    const exported = await runAudit(url, 'export')
    t.equal(exported.code, 0)
    const lines = exported.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, any>)
    t.match(lines, [
      { seq: 1, action: 'user_created', hash: /^test\./ },
      { seq: 2 },
      { seq: 3 },
      { anchor: { count: 3, hash: lines[2]?.hash } }
    ])
    const anchor = (await runAudit(url, 'export', '--anchor')).stdout.trim()
    t.equal(anchor, `3:${lines[2]?.hash}`)
    await createUser('more')
    t.match(await runAudit(url, 'verify', '--anchor', anchor), { code: 0 }, 'the trail goes on')
    t.match((await runAudit(url, 'export', '--after', '3')).stdout.trim().split('\n'), {
      length: 2
    })
    t.match(await runAudit(url, 'verify', '--anchor', `3:${lines[1]?.hash}`), {
      code: 1,
      stderr: /Row 3 differs from the anchor/
    })
    t.match(await runAudit(url, 'verify', '--anchor', `5:${lines[2]?.hash}`), {
      code: 1,
      stderr: /The trail has 4 rows, and it had 5/
    })
    t.match(await runAudit(url, 'verify', '--anchor', 'x'), { code: 2 })
    await app.close()
  }
)

t.test(
  'The trail verifies after its vault key was replaced and removed; a missing key is named',
  async (t) => {
    const { url, app, start, createUser } = await createTrail(t, 2)
    await app.close()
    const nextKey = generateKeyEntry('next')
    const both = await start({ VAULT_KEYS: `${nextKey},${VAULT_KEY}` })
    await createUser('both', both)
    await both.close()
    const alone = await start({ VAULT_KEYS: nextKey })
    await createUser('alone', alone)
    t.match(
      (await readAuditTrail(alone)).map(({ action }) => action),
      Array.from({ length: 4 }, () => 'user_created')
    )
    t.match(await queryDatabase(url, 'select hash from audit order by seq'), [
      { hash: /^test\./ },
      { hash: /^test\./ },
      { hash: /^next\./ },
      { hash: /^next\./ }
    ])
    t.match(await runAuditVerify(url, nextKey), { code: 0, stdout: /^4 rows/ })
    await queryDatabase(url, "update vault_keys set signing_key = null where id = 'test'")
    t.match(await runAuditVerify(url, nextKey), { code: 1, stderr: /vault key "test"/ })
    t.match(
      await runAuditVerify(url, generateKeyEntry('other')),
      { code: 78, stderr: /has other keys \(test, next\)/ },
      'a command without the keys of the service signs nothing'
    )
  }
)

t.test('T18 Every purge leaves an entry in the chain', async (t) => {
  const { url, app } = await createTrail(t, 3)
  t.match(await runAudit(url, 'purge', '--days', '0'), { code: 0, stdout: /^Deleted 3 rows/ })
  t.match(await readAuditTrail(app), [
    { id: 4, action: 'audit_purged', detail: { days: 0, rows: 3, through: 3, hash: /^test\./ } }
  ])
  t.match(await runAuditVerify(url), { code: 0, stdout: /^1 rows/ })
})
