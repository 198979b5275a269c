import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { rotateKey } from '../../src/grants/rotate-key.ts'
import { decryptTokens, encryptTokens } from '../../src/grants/encrypt.ts'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import type { EncryptedTokens } from '../../src/store/repositories/encrypted-tokens.ts'
import { generateKeyEntry, parseKeyring } from '../../src/vault/keyring.ts'
import { createVault } from '../../src/vault/vault.ts'
import { pickByScale, SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { spawnCommand } from '../process/command.ts'
import { startSandbox, type RunningSandbox } from '../sandbox/helper.ts'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

const [OLD_KEY, NEW_KEY] = [generateKeyEntry('old'), generateKeyEntry('new')]

interface RotationFixture {
  cwd: string
  env: NodeJS.ProcessEnv
  query: <T>(sql: string, ...values: unknown[]) => Promise<T[]>
  sandbox: RunningSandbox
}

/**
 * A database encrypted with the old key: first users who have really connected Jira, then `made`
 * grants with known tokens.
 */
async function createRotationFixture(
  t: TestContext,
  { real: connectedCount = 0, made: generatedCount = 0 }: { real?: number; made?: number }
): Promise<RotationFixture> {
  const cwd = createTempFolder(t)
  const url = await ensureDatabase(t, join(cwd, 'c.db'))
  const users = Array.from({ length: Math.max(connectedCount, 1) }, (_, i) => ({
    ...DANA,
    accountId: `712020:person-${i}`,
    nickname: `person${i}`
  }))
  const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX, users })
  const env = { ...buildSandboxEnv(sandbox.url), APP_ENV: 'test', INTEGRATION_DB_URL: url }
  const { app } = await buildTestApp(t, { ...env, VAULT_KEYS: OLD_KEY })
  for (let i = 0; i < connectedCount; i++) {
    const browser = new Browser(app)
    await browser.open(
      await browser.consent('jira', {
        query: `&state=email%3Dreal${i}%40example.com`,
        extra: `&sandbox_account=person${i}`
      })
    )
  }
  // No run continues in the next service and needs tokens at an unpredictable moment.
  for (let i = 0; i < connectedCount; i++) await waitForRun(app, 'jira', i + 1)
  for (let i = 0; i < generatedCount; i++) {
    const id = `made-${String(i).padStart(5, '0')}`
    const { user } = await app.store.users.findOrCreate(`made${i}@example.com`, null)
    await app.store.grants.connect(
      {
        id,
        clientId: 'jira-app',
        accountId: id,
        scopes: 'read:me',
        ...encryptTokens(app.vault, id, buildTokens(id)),
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
  await app.close()
  return {
    cwd,
    env,
    query: async (sql, ...values) => await queryDatabase(url, sql, ...values),
    sandbox
  }
}

const buildTokens = (id: string) => ({
  access: `access of ${id}`,
  refresh: `refresh of ${id}`,
  previous: `previous of ${id}`
})

/** Starts `connector keys COMMAND` on the database of the fixture. */
const startKeysCommand = ({ cwd, env }: RotationFixture, command: string, vaultKeys: string) =>
  spawnCommand(['keys', command], { cwd, env: { ...env, VAULT_KEYS: vaultKeys } })

/** Number of grants encrypted with each key. */
async function countGrantsByKey({ query }: RotationFixture): Promise<Record<string, number>> {
  return Object.fromEntries(
    (
      await query<{ key_id: string; n: number }>(
        'select key_id, count(*) as n from grants group by key_id'
      )
    ).map(({ key_id: id, n }) => [id, n])
  )
}

/**
 * Grants that do not decrypt to the expected tokens with these keys, or whose columns use
 * another key than their row names.
 */
async function findUndecryptable({ query }: RotationFixture, vaultKeys: string): Promise<string[]> {
  const { keyring } = parseKeyring(vaultKeys)
  if (keyring === undefined) throw new Error('A test key is wrong')
  const vault = createVault(keyring)
  const sealed = await query<EncryptedTokens & { id: string }>(
    'select id, key_id as "keyId", access_token as "accessToken", refresh_token as ' +
      '"refreshToken", previous_refresh_token as "previousRefreshToken" from grants'
  )
  return sealed
    .filter((row) => {
      try {
        const { access, refresh } = decryptTokens(vault, row)
        const { keyId, accessToken, refreshToken } = row
        const whole = [accessToken, refreshToken].every((sealed) =>
          sealed?.startsWith(`v2.${keyId}.`)
        )
        return (
          !whole ||
          (row.id.startsWith('made') &&
            (access !== buildTokens(row.id).access || refresh !== buildTokens(row.id).refresh))
        )
      } catch {
        return true
      }
    })
    .map(({ id }) => id)
}

/**
 * Checks connections 50 times a second: `users` in rotation, and with every third call one of
 * `once`, each of them once.
 */
function startLoad(
  url: string,
  users: number[],
  once: number[]
): () => Promise<{ calls: number; failures: string[] }> {
  const calls: Array<Promise<string | undefined>> = []
  const timer = setInterval(() => {
    const user =
      calls.length % 3 === 0 ? (once.shift() ?? users[0]) : users[calls.length % users.length]
    calls.push(
      fetch(`${url}/users/${user}/connections/jira/check`, { method: 'POST' }).then(
        async (answer) => {
          const text = await answer.text()
          return answer.status === 200 && text.includes('"state":"active"')
            ? undefined
            : `user ${user}: ${answer.status} ${text}`
        },
        (error: unknown) => `user ${user}: ${String(error)}`
      )
    )
  }, 20)
  return async () => {
    clearInterval(timer)
    return {
      calls: calls.length,
      failures: (await Promise.all(calls)).filter((each) => each !== undefined)
    }
  }
}

const GRANT_COUNT = pickByScale(200, 1_000)
const [STEADY_COUNT, REFRESHED_COUNT] = [5, 15]

t.test(
  `B5 Re-encrypts ${GRANT_COUNT} grants under 50 requests/s without a failed call; then the old key can go`,
  async (t) => {
    const fixture = await createRotationFixture(t, {
      real: STEADY_COUNT + REFRESHED_COUNT,
      made: GRANT_COUNT - STEADY_COUNT - REFRESHED_COUNT
    })
    const { query, cwd, env, sandbox } = fixture
    t.same(await countGrantsByKey(fixture), { old: GRANT_COUNT })
    await t.rejects(
      startServiceProcess(t, { cwd, env: { ...env, VAULT_KEYS: NEW_KEY } }),
      new RegExp(
        `ended with 78: (?:.*\n)?VAULT_KEYS lacks the key "old", and ${GRANT_COUNT} stored grants need it\\.`
      ),
      'not before'
    )
    await query(
      'update grants set access_expires_at = ? where id in (select grant_id from ' +
        `connections where user_id > ${STEADY_COUNT} and user_id <= ` +
        `${STEADY_COUNT + REFRESHED_COUNT})`,
      Date.now() - 1
    )
    await sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 100,
      match: { path: '/oauth/token' },
      times: 1_000
    })
    const service = await startServiceProcess(t, {
      cwd,
      env: { ...env, VAULT_KEYS: `${NEW_KEY},${OLD_KEY}` }
    })
    const stop = startLoad(
      service.url,
      Array.from({ length: STEADY_COUNT }, (_, i) => i + 1),
      Array.from({ length: REFRESHED_COUNT }, (_, i) => STEADY_COUNT + i + 1)
    )
    await sleep(400)
    const { code, stdout, stderr } = await startKeysCommand(
      fixture,
      'rotate',
      `${NEW_KEY},${OLD_KEY}`
    ).completion
    await sleep(pickByScale(400, 4_000))
    const { calls, failures } = await stop()
    t.same(failures, [], `${calls} calls, none failed`)
    t.ok(calls > 40, `${calls} calls`)
    t.equal(code, 0)
    const progress = [...stderr.matchAll(/^([\d,]+) re-encrypted, ([\d,]+) left · \S+$/gm)].map(
      (match) => match.slice(1).map((count) => Number(count.replace(',', '')))
    )
    t.ok(
      progress.length >= 3 &&
        progress.every(
          ([done = 0, left = 0], i) =>
            i === 0 || (done >= (progress[i - 1]?.[0] ?? 0) && left < (progress[i - 1]?.[1] ?? 0))
        ),
      `the remaining count decreases: ${progress.map((each) => each.join()).join(' ')}`
    )
    t.equal(progress.at(-1)?.[1], 0, 'to nothing')
    const [, resealed] = /^([\d,]+) grants? re-encrypted with new, 0 left\.$/m.exec(stdout) ?? []
    t.ok(Number(resealed?.replace(',', '')) > GRANT_COUNT / 2, stdout)
    t.same(await countGrantsByKey(fixture), { new: GRANT_COUNT })
    const refreshed = await query('select id from grants where rotated_at is not null')
    t.ok(refreshed.length >= 5, `${refreshed.length} grants were refreshed meanwhile`)
    t.match(await startKeysCommand(fixture, 'status', `${NEW_KEY},${OLD_KEY}`).completion, {
      code: 0,
      stdout: new RegExp(
        `^new: encrypts and decrypts, encrypts ${GRANT_COUNT.toLocaleString('en')} grants, ` +
          '.*\nold: decrypts, encrypts 0 grants, .*\nNothing is left to rotate; VAULT_KEYS ' +
          'needs only the key new\\.\n$'
      ),
      stderr: ''
    })

    t.equal(await service.stop(), 0)
    const alone = await startServiceProcess(t, { cwd, env: { ...env, VAULT_KEYS: NEW_KEY } })
    for (let user = 1; user <= STEADY_COUNT + REFRESHED_COUNT; user++) {
      t.match(
        await (
          await fetch(`${alone.url}/users/${user}/connections/jira/check`, { method: 'POST' })
        ).json(),
        { state: 'active' },
        `user ${user} with the new key alone`
      )
    }
    t.same(await findUndecryptable(fixture, NEW_KEY), [], 'every token opens')
    t.equal(
      (await query('select id from history')).length,
      GRANT_COUNT,
      'only connecting changed states'
    )
  }
)

const KILL_COUNT = pickByScale(2, 50)

t.test(
  `B5 A rotation killed ${KILL_COUNT} times or stopped with Ctrl-C loses nothing, resumes, and completes`,
  async (t) => {
    const total = pickByScale(300, 1_000)
    const fixture = await createRotationFixture(t, { made: total })
    const start = chooseSeed()
    t.comment(`SEED=${start}`)
    const random = createRandom(start)
    let [first, second] = [NEW_KEY, OLD_KEY]
    let midway = 0
    for (let i = 0; i <= KILL_COUNT; i++) {
      const signal = i < KILL_COUNT ? 'SIGKILL' : 'SIGINT'
      // The first and the last kill come early, so that work is left.
      const early = i === 0 || i === KILL_COUNT
      const batches = early ? 0 : Math.floor((random() * total) / 50)
      const { child, completion } = startKeysCommand(fixture, 'rotate', `${first},${second}`)
      let lines = 0
      await Promise.race([
        completion,
        new Promise<void>((resolve) =>
          child.stderr.on('data', (chunk: Buffer) => {
            lines += chunk.toString().split('\n').length - 1
            if (lines > batches) resolve()
          })
        )
      ])
      if (!early) await sleep(random() * 5)
      child.kill(signal)
      const { code } = await completion
      const { signalCode: by } = child
      t.ok(
        by === signal || code === 0,
        `${signal} after batch ${batches + 1}: ${by ?? 'had ended'}`
      )
      t.same(
        await findUndecryptable(fixture, `${first},${second}`),
        [],
        'every token decrypts, and each row uses one key'
      )
      const counts = await countGrantsByKey(fixture)
      if (Object.keys(counts).length === 2) midway++
      // A complete rotation is followed by one in the other direction.
      else if (counts[first.split(':')[0] ?? ''] === total) [first, second] = [second, first]
    }
    t.ok(midway >= 1, `${midway} rotations ended midway`)
    const { code, stdout } = await startKeysCommand(fixture, 'rotate', `${first},${second}`)
      .completion
    t.equal(code, 0)
    t.match(stdout, / 0 left\.\nNext: run `connector keys remove \w+`\.\n$/)
    t.same(await countGrantsByKey(fixture), { [first.split(':')[0] ?? '']: total })
    t.same(await findUndecryptable(fixture, first), [])
  }
)

t.test(
  'B5 A grant refreshed or connected during re-encryption keeps the newer tokens',
  async (t) => {
    const fixture = await createRotationFixture(t, { real: 3 })
    const { app } = await buildTestApp(t, { ...fixture.env, VAULT_KEYS: `${NEW_KEY},${OLD_KEY}` })
    await fixture.query('update grants set access_expires_at = ?', Date.now() - 1)
    const ids = (
      await fixture.query<{ grant_id: string }>('select grant_id from connections order by user_id')
    ).map(({ grant_id: id }) => id)
    const [refreshed = '', reconnected = ''] = ids
    const newer = new Map<string, string>()
    const { encryptedTokens } = app.store
    let meanwhile = async (): Promise<void> => {
      newer.set(refreshed, await app.tokenProvider.getAccessToken(refreshed, { log: app.log }))
      const browser = new Browser(app)
      await browser.open(
        await browser.consent('jira', {
          query: '&state=user_id%3D2',
          extra: '&sandbox_account=person1'
        })
      )
      newer.set(reconnected, await app.tokenProvider.getAccessToken(reconnected, { log: app.log }))
    }
    const store: TestApp['app']['store'] = {
      ...app.store,
      encryptedTokens: {
        ...encryptedTokens,
        replace: async (batch) => {
          t.equal(batch.length, 3, 'all three rows were read before')
          await meanwhile()
          meanwhile = async () => {}
          return await encryptedTokens.replace(batch)
        }
      }
    }
    t.match(await rotateKey({ store, vault: app.vault }, app.log), {
      reencrypted: 1,
      remaining: 0,
      undecryptable: 0
    })
    t.same(await countGrantsByKey(fixture), { new: 3 })
    for (const id of [refreshed, reconnected]) {
      app.tokenProvider.invalidate(id)
      t.equal(await app.tokenProvider.getAccessToken(id, { log: app.log }), newer.get(id))
    }
    for (const user of [1, 2, 3]) {
      t.match(
        (await app.inject({ method: 'POST', url: `/users/${user}/connections/jira/check` })).json(),
        { state: 'active' }
      )
    }
  }
)

t.test(
  'B5 Marks a row that cannot be decrypted without blocking key removal; skips one repaired meanwhile',
  async (t) => {
    const fixture = await createRotationFixture(t, { real: 2, made: 60 })
    const { query, cwd, env } = fixture
    const row = async (id: string) =>
      (
        await query<Record<string, string>>(
          'select access_token, refresh_token, previous_refresh_token, state, error_code from ' +
            'grants where id = ?',
          id
        )
      )[0]
    await query(
      'update grants set access_token = substr(access_token, 1, length(access_token) - 1) ' +
        "where id = 'made-00007'"
    )
    await query("update grants set refresh_token = access_token where id = 'made-00055'")
    const both = async () => [await row('made-00007'), await row('made-00055')]
    const before = await both()
    const { code, stdout, stderr } = await startKeysCommand(
      fixture,
      'rotate',
      `${NEW_KEY},${OLD_KEY}`
    ).completion
    t.equal(code, 0)
    t.equal(
      stdout,
      '60 grants re-encrypted with new, 0 left.\n2 grants cannot be decrypted with any ' +
        'key. Their users must connect again.\nNext: run `connector keys remove old`.\n'
    )
    t.same(
      [...stderr.matchAll(/"event":"grant_unreadable".*?"grant_id":"([^"]+)"/g)].map(
        ([, id]) => id
      ),
      ['made-00007', 'made-00055']
    )
    t.match(
      await both(),
      before.map((was) => ({
        ...was,
        state: 'needs_reconnect',
        error_code: 'tokens_undecryptable'
      })),
      'marked, and nothing is deleted'
    )
    const unreadable = async () =>
      (
        await query(
          "select id from history where to_state = 'needs_reconnect' and code = 'tokens_undecryptable'"
        )
      ).length
    t.equal(await unreadable(), 2)
    t.match(
      await startKeysCommand(fixture, 'rotate', `${NEW_KEY},${OLD_KEY}`).completion,
      { code: 0, stdout: /^0 grants re-encrypted with new, 0 left\.\n/ },
      'reported once'
    )
    const service = await startServiceProcess(t, { cwd, env: { ...env, VAULT_KEYS: NEW_KEY } })
    t.match(
      await (
        await fetch(`${service.url}/users/1/connections/jira/check`, { method: 'POST' })
      ).json(),
      { state: 'active' }
    )
    t.equal(await service.stop(), 0)

    const mended = generateKeyEntry('third')
    const { app } = await buildTestApp(t, { ...env, VAULT_KEYS: `${mended},${NEW_KEY}` })
    await query(
      "update grants set access_token = 'garbage' where id = (select grant_id from " +
        'connections where user_id = 1)'
    )
    const store: TestApp['app']['store'] = {
      ...app.store,
      encryptedTokens: {
        ...app.store.encryptedTokens,
        replace: async (batch) => {
          const browser = new Browser(app)
          if (batch.length > 1) {
            await browser.open(
              await browser.consent('jira', {
                query: '&state=user_id%3D1',
                extra: '&sandbox_account=person0'
              })
            )
          }
          return await app.store.encryptedTokens.replace(batch)
        }
      }
    }
    t.match(await rotateKey({ store, vault: app.vault }, app.log), {
      remaining: 0,
      undecryptable: 0
    })
    t.equal(await unreadable(), 2, 'a grant with a new consent is not reported')
  }
)
