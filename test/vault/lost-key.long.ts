import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encryptTokens } from '../../src/grants/encrypt.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { buildSandboxEnv, buildTestApp, waitFor, type TestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

const [K1, K2] = [generateKeyEntry('k1'), generateKeyEntry('k2')]

async function connectGrant({ app }: TestApp, id: string): Promise<void> {
  const { user } = await app.store.users.findOrCreate(`${id}@example.com`, null)
  await app.store.grants.connect(
    {
      id,
      clientId: 'jira-app',
      accountId: id,
      scopes: 'read:me',
      ...encryptTokens(app.vault, id, { access: `access ${id}`, refresh: null, previous: null }),
      accessExpiresAt: new Date(Date.now() + HOUR_MS),
      dueAt: null
    },
    {
      userId: user.id,
      provider: 'jira',
      sites: [],
      selectedSites: [],
      state: 'active',
      reason: null,
      before: null
    }
  )
}

/** A database in which k1 has encrypted the grants of users 1 and 2, and k2 that of user 3. */
async function createTwoKeyDatabase(t: TestContext) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const open = async (keys: string | undefined, file?: string) =>
    await buildTestApp(t, {
      ...buildSandboxEnv('http://127.0.0.1:9'),
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: keys,
      VAULT_KEYS_FILE: file
    })
  const first = await open(K1)
  for (const id of ['one', 'two']) await connectGrant(first, id)
  await first.app.close()
  const second = await open(`${K2},${K1}`)
  await connectGrant(second, 'three')
  await second.app.close()
  const query = async (sql: string, ...values: unknown[]) =>
    await queryDatabase(url, sql, ...values)
  return {
    open,
    query,
    keys: async (keys: string, ...args: string[]) =>
      await runCommand(['keys', ...args], { env: { INTEGRATION_DB_URL: url, VAULT_KEYS: keys } }),
    readAll: async () => [
      await query('select * from grants order by id'),
      await query('select * from connections order by id'),
      await query('select * from history order by id'),
      await query('select max(seq) from audit')
    ]
  }
}

const getToken = async ({ app }: TestApp, id: string) =>
  await app.tokenProvider.getAccessToken(id, { log: app.log })

t.test('A service that lacks a key answers 503 for its grants and writes nothing', async (t) => {
  const { open, readAll } = await createTwoKeyDatabase(t)
  const service = await open(K2)
  const before = await readAll()
  t.match((await service.app.inject('/healthz')).json(), {
    status: 'unavailable',
    checks: { vault_key: 'missing k1' },
    reasons: { vault_key: 'missing' }
  })
  for (let i = 0; i < 2; i++) {
    await t.rejects(getToken(service, 'one'), { code: 'vault_key_missing', message: /"k1"/ })
    t.match(await service.app.inject('/users/1/connections'), {
      statusCode: 503,
      headers: { 'retry-after': '5' }
    })
    // Not the list of those whose connection somebody has changed.
    t.match(await service.app.inject('/connections'), {
      statusCode: 503,
      headers: { 'retry-after': '5' }
    })
  }
  t.equal(await getToken(service, 'three'), 'access three', 'the other grants work')
  await service.app.maintenance.runNow()
  t.same(await readAll(), before, 'no state, no schedule and no audit entry changed')
  t.ok(
    service.lines().some(({ event, level }) => event === 'vault_key_missing' && level === 'error')
  )
})

t.test('A service that lacks the current key ends no run for what it cannot do', async (t) => {
  const { open, query, readAll } = await createTwoKeyDatabase(t)
  // Chosen by command: the order of the settings does not change it.
  await query("update vault_keys set promoted_by = 'command' where id = 'k2'")
  const { app } = await open(K1)
  await app.store.runs.enqueue(1, 'jira')
  const read = async () => [...(await readAll()), await query('select * from runs')]
  const before = await read()
  for (const request of [
    { method: 'DELETE', url: '/users/1' },
    { method: 'DELETE', url: '/users/1/connections/jira' },
    { method: 'PUT', url: '/users/1/connections/jira/site', payload: { cloud_id: randomUUID() } }
  ] as const) {
    const response = await app.inject(request)
    t.match(
      [response.statusCode, response.json()],
      [503, { code: 'vault_key_missing', detail: /"k2".*Nothing was changed/ }],
      request.url
    )
  }
  t.same(await read(), before)
})

t.test('A lost key is given up on request; if it is found, its grants work again', async (t) => {
  const { open, keys, query, readAll } = await createTwoKeyDatabase(t)
  const before = await readAll()
  t.match(await keys(K2, 'give-up', 'k1'), {
    code: 1,
    stderr: /^2 grants and 2 signed connections need the key "k1"\. .* --yes /
  })
  t.match(await keys(`${K2},${K1}`, 'give-up', 'k1', '--yes'), { code: 1, stderr: /not lost/ })
  t.match(await keys(K1, 'give-up', 'k2'), { code: 1, stderr: /"k1" would encrypt/ })
  t.same(await readAll(), before, 'nothing changed until then')
  t.match(await keys(K2, 'give-up', 'k1', '--yes'), {
    code: 0,
    stdout: /^Gave up the key k1: 2 grants and 2 signed connections needed it\.\nNext: /
  })
  t.match(await query('select id, state, error_code from grants order by id'), [
    { id: 'one', state: 'needs_reconnect', error_code: 'tokens_undecryptable' },
    { id: 'three', state: 'active', error_code: null },
    { id: 'two', state: 'needs_reconnect' }
  ])
  t.match(await query("select actor, detail from audit where action = 'vault_key_given_up'"), [
    { actor: 'operator', detail: /"key":"k1","grants":2,"connections":2/ }
  ])
  const alone = await open(K2)
  t.match((await alone.app.inject('/healthz')).json(), { checks: { vault_key: 'ok' } })
  await t.rejects(getToken(alone, 'one'), { code: 'needs_reconnect' })
  t.match((await alone.app.inject('/users/1/connections')).json(), {
    connections: [{ state: 'needs_reconnect' }]
  })
  await alone.app.close()
  const found = await open(`${K2},${K1}`)
  await found.app.ready()
  t.equal(await getToken(found, 'one'), 'access one')
  t.match(await query('select state, key_id from grants order by id'), [
    { state: 'active', key_id: 'k1' },
    { state: 'active', key_id: 'k2' },
    { state: 'active', key_id: 'k1' }
  ])
  await found.app.close()
})

t.test('The only key is lost: a new one takes its place when it is given up', async (t) => {
  const { open, keys, query, readAll } = await createTwoKeyDatabase(t)
  t.match(await keys(`${K2},${K1}`, 'rotate'), { code: 0 })
  const before = await readAll()
  const K3 = generateKeyEntry('k3')
  await t.rejects(open(K3), { exitCode: 78, message: /keys give-up k2/ })
  t.match(await keys(K3, 'give-up', 'k2'), {
    code: 1,
    stderr: /^3 grants .*It is the current key: "k3" would encrypt from then on\. /
  })
  t.same(await readAll(), before, 'nothing changed until then')
  t.match(await keys(K3, 'give-up', 'k2', '--yes'), {
    code: 0,
    stdout: /^Gave up the key k2: 3 grants and 3 signed connections needed it\.\n/
  })
  t.match(await query('select distinct state from grants'), [{ state: 'needs_reconnect' }])
  t.same(
    await query(
      "select action from audit where action in ('audit_unverified', 'vault_key_promoted', " +
        "'vault_key_given_up') order by seq"
    ),
    [
      { action: 'audit_unverified' },
      { action: 'vault_key_promoted' },
      { action: 'vault_key_given_up' }
    ]
  )
  const service = await open(K3)
  t.match((await service.app.inject('/healthz')).json(), { checks: { vault_key: 'ok' } })
  await connectGrant(service, 'four')
  t.equal(await getToken(service, 'four'), 'access four', 'people connect again')
  await service.app.close()
  const found = await open(`${K3},${K2}`)
  await found.app.ready()
  t.match(await query("select state from grants where id = 'one'"), [{ state: 'active' }])
  t.match(
    (await found.app.inject('/users/1/connections')).json(),
    { connections: [{ state: 'needs_reconnect', last_error: /not as the service wrote it/ }] },
    'nothing verified the connection meanwhile'
  )
  await found.app.close()
})

t.test('A refused key file registers no key, and its mistake can be corrected', async (t) => {
  const { open, query } = await createTwoKeyDatabase(t)
  const file = join(createTempFolder(t), 'keys')
  const write = (...keys: string[]) => {
    writeFileSync(file, `${keys.join('\n')}\n`, { mode: 0o600 })
  }
  write(K2, K1)
  const { app, lines } = await open(undefined, file)
  const refusals = () => lines().filter(({ event }) => event === 'vault_keys_refused')
  write(K2, generateKeyEntry('k3'))
  await app.reloadVaultKeys()
  t.match(refusals(), [{ problems: [/lacks keys that are in use: k1\./] }])
  t.same(await query("select id from vault_keys where id = 'k3'"), [])
  write(K2, K1, generateKeyEntry('k3'))
  await app.reloadVaultKeys()
  write(K2, K1)
  await app.reloadVaultKeys()
  write(K2, K1, generateKeyEntry('k3'))
  await app.reloadVaultKeys()
  t.equal(refusals().length, 1, 'nothing depends on the first k3, so another one takes its place')
  write(K2, generateKeyEntry('k1'))
  await app.reloadVaultKeys()
  t.match(refusals()[1], { problems: [/"k1" differs from the key/] })
  await app.close()
})

t.test('Keys that were read again are announced, even if a heartbeat is under way', async (t) => {
  const { open, query } = await createTwoKeyDatabase(t)
  const file = join(createTempFolder(t), 'keys')
  writeFileSync(file, `${K2}\n${K1}\n`, { mode: 0o600 })
  const { app } = await open(undefined, file)
  const { vaultKeys } = app.store
  const { listWithUse } = vaultKeys
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  vaultKeys.listWithUse = async () => {
    await gate
    return await listWithUse()
  }
  const beat = app.heartbeat.beat()
  writeFileSync(file, `${K2}\n${K1}\n${generateKeyEntry('k3')}\n`)
  const reload = app.reloadVaultKeys()
  await waitFor(async () => app.vaultKeys.keyring.ids.includes('k3'))
  release()
  await Promise.all([beat, reload])
  t.match(await query('select key_ids from instances'), [{ key_ids: /k3/ }])
  await app.close()
})

t.test('An instance leaves the syncs of connections that it cannot verify to others', async (t) => {
  const { open, query } = await createTwoKeyDatabase(t)
  await query('update connections set sync_due_at = ?', Date.now() - HOUR_MS)
  // Refreshed with k2 after its promotion, and signed with k1 until the rotation.
  await query("update grants set key_id = 'k2' where id = 'one'")
  const { app } = await open(K2)
  t.same(app.heartbeat.getMissingKeyIds(), ['k1'])
  const due = await app.store.connections.listDue(new Date(), 10, ['k1'])
  t.same(
    due.map(({ userId }) => userId),
    [3]
  )
  for (const userId of [1, 2, 3]) await app.store.runs.enqueue(userId, 'jira')
  t.match(await app.store.runs.listClaimable(10, ['k1']), { length: 1, 0: { ownerId: 3 } })
  await app.close()
})

t.test(
  'Grants that an earlier version marked heal at the start, with their schedule',
  async (t) => {
    const { open, query } = await createTwoKeyDatabase(t)
    await query(
      "update grants set state = 'needs_reconnect', error_code = 'tokens_undecryptable', " +
        "error_detail = 'x', due_at = null where id <> 'three'"
    )
    await query("update grants set access_token = 'v2.k1.damaged' where id = 'two'")
    await query('update connections set sync_due_at = ?', Date.now() + 240 * HOUR_MS)
    const { app, lines } = await open(`${K2},${K1}`)
    await app.ready()
    t.match(await query('select id, state, error_code, due_at from grants order by id'), [
      { id: 'one', state: 'active', error_code: null, due_at: Number },
      { id: 'three', state: 'active' },
      { id: 'two', state: 'needs_reconnect', error_code: 'tokens_undecryptable' }
    ])
    const [first, other] = await query('select sync_due_at from connections order by user_id')
    t.ok(Number(first?.sync_due_at) <= Date.now(), 'its next sync is due')
    t.ok(Number(other?.sync_due_at) > Date.now() + HOUR_MS)
    t.match(
      lines().find(({ event }) => event === 'grants_readable'),
      { grants: 1 }
    )
  }
)
