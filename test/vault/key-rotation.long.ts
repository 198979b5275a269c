import { execFile, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { rekey } from '../../src/grants/rotate-key.ts'
import { openAll, sealAll } from '../../src/grants/encrypt.ts'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import type { Sealed } from '../../src/store/repositories/sealed-tokens.ts'
import { newKeyEntry, parseKeyring } from '../../src/vault/keyring.ts'
import { createVault } from '../../src/vault/vault.ts'
import { many, SMALL } from '../auth/helper.ts'
import { databaseAt, rowsOf } from '../database.ts'
import { Browser, build, CLIENTS, configured, synced, type Built, type Test } from '../helper.ts'
import { folder, start } from '../process/child.ts'
import { startSandbox, type Running } from '../sandbox/helper.ts'
import { chance, seed } from '../fixtures/prng.ts'

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url))
const [OLD, NEW] = [newKeyEntry('old'), newKeyEntry('new')]
const HOUR_MS = 3_600_000

interface Place {
  cwd: string
  env: NodeJS.ProcessEnv
  rows: <T>(sql: string, ...values: unknown[]) => Promise<T[]>
  sandbox: Running
}

/** A database sealed with the old key: people who have really connected Jira come first, then `made` ones whose tokens are known. */
async function place(
  t: Test,
  { real = 0, made = 0 }: { real?: number; made?: number }
): Promise<Place> {
  const cwd = folder(t)
  const url = await databaseAt(t, join(cwd, 'c.db'))
  const users = Array.from({ length: Math.max(real, 1) }, (_, i) => ({
    ...DANA,
    accountId: `712020:person-${i}`,
    nickname: `person${i}`
  }))
  const sandbox = await startSandbox(t, { clients: CLIENTS, ...SMALL, users })
  const env = { ...configured(sandbox.url), APP_ENV: 'test', INTEGRATION_DB_URL: url }
  const { app } = await build(t, { ...env, VAULT_KEYS: OLD })
  for (let i = 0; i < real; i++) {
    const browser = new Browser(app)
    await browser.open(
      await browser.consent('jira', {
        query: `&state=email%3Dreal${i}%40example.com`,
        extra: `&sandbox_account=person${i}`
      })
    )
  }
  // No run goes on in the next service, which would need tokens at a moment of its own.
  for (let i = 0; i < real; i++) await synced(app, 'jira', i + 1)
  for (let i = 0; i < made; i++) {
    const id = `made-${String(i).padStart(5, '0')}`
    const { user } = await app.store.users.save(`made${i}@example.com`, null)
    await app.store.grants.connect(
      {
        id,
        clientId: 'jira-app',
        accountId: id,
        scopes: 'read:me',
        ...sealAll(app.vault, id, secrets(id)),
        accessExpiresAt: new Date(Date.now() + HOUR_MS),
        dueAt: null
      },
      {
        userId: user.id,
        provider: 'jira',
        sites: [],
        bound: [],
        state: 'active',
        reason: null,
        before: null
      }
    )
  }
  await app.close()
  return { cwd, env, rows: async (sql, ...values) => await rowsOf(url, sql, ...values), sandbox }
}

const secrets = (id: string) => ({
  access: `access of ${id}`,
  refresh: `refresh of ${id}`,
  previous: `previous of ${id}`
})

interface Command {
  child: ChildProcess
  ended: Promise<{
    code: number | string | null
    signal: string | null
    stdout: string
    stderr: string
  }>
}

/** Runs `npm run keys` in a process of its own. */
function keys({ cwd, env }: Place, command: string, vaultKeys: string): Command {
  const running = promisify(execFile)(process.execPath, [MAIN, 'keys', command], {
    cwd,
    timeout: 60_000,
    env: { PATH: process.env.PATH, ...env, VAULT_KEYS: vaultKeys }
  })
  return {
    child: running.child,
    ended: running.then(
      (output) => ({ code: 0, signal: null, ...output }),
      ({ code, signal, stdout, stderr }) => ({ code, signal, stdout, stderr })
    )
  }
}

/** How many grants each key has sealed. */
async function perKey({ rows }: Place): Promise<Record<string, number>> {
  return Object.fromEntries(
    (
      await rows<{ key_id: string; n: number }>(
        'select key_id, count(*) as n from grants group by key_id'
      )
    ).map(({ key_id: id, n }) => [id, n])
  )
}

/** Every grant that does not open as it should with these keys, or whose columns are not all of the key that its row names. */
async function unopened({ rows }: Place, vaultKeys: string): Promise<string[]> {
  const { keyring } = parseKeyring(vaultKeys)
  if (keyring === undefined) throw new Error('A test key is wrong')
  const vault = createVault(keyring)
  const sealed = await rows<Sealed & { id: string }>(
    'select id, key_id as "keyId", access_token as "accessToken", refresh_token as "refreshToken", previous_refresh_token as "previousRefreshToken" from grants'
  )
  return sealed
    .filter((row) => {
      try {
        const { access, refresh } = openAll(vault, row)
        const { keyId, accessToken, refreshToken } = row
        const whole = [accessToken, refreshToken].every((sealed) =>
          sealed?.startsWith(`v1.${keyId}.`)
        )
        return (
          !whole ||
          (row.id.startsWith('made') &&
            (access !== secrets(row.id).access || refresh !== secrets(row.id).refresh))
        )
      } catch {
        return true
      }
    })
    .map(({ id }) => id)
}

/** Asks whether connections work, 50 times a second, in turn; the last of `users` one after the other and once each. */
function load(
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

const GRANTS = many(200, 1_000)
const [STEADY, REFRESHED] = [5, 15]

t.test(
  `B5 ${GRANTS} grants are sealed anew under 50 requests a second: no call fails, nothing is left, and then the old key can go`,
  async (t) => {
    const here = await place(t, { real: STEADY + REFRESHED, made: GRANTS - STEADY - REFRESHED })
    const { rows, cwd, env, sandbox } = here
    t.same(await perKey(here), { old: GRANTS })
    await t.rejects(
      start(t, { cwd, env: { ...env, VAULT_KEYS: NEW } }),
      new RegExp(
        `ended with 78: VAULT_KEYS lacks the key "old", and ${GRANTS} stored grants need it\\.`
      ),
      'not before'
    )
    await rows(
      `update grants set access_expires_at = ? where id in (select grant_id from connections where user_id > ${STEADY} and user_id <= ${STEADY + REFRESHED})`,
      Date.now() - 1
    )
    await sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 100,
      match: { path: '/oauth/token' },
      times: 1_000
    })
    const service = await start(t, { cwd, env: { ...env, VAULT_KEYS: `${NEW},${OLD}` } })
    const stop = load(
      service.url,
      Array.from({ length: STEADY }, (_, i) => i + 1),
      Array.from({ length: REFRESHED }, (_, i) => STEADY + i + 1)
    )
    await sleep(400)
    const { code, stdout, stderr } = await keys(here, 'rotate', `${NEW},${OLD}`).ended
    await sleep(many(400, 4_000))
    const { calls, failures } = await stop()
    t.same(failures, [], `${calls} calls, none failed`)
    t.ok(calls > 40, `${calls} calls`)
    t.equal(code, 0)
    const progress = [...stderr.matchAll(/^(\d+) sealed anew, (\d+) left$/gm)].map(
      ([, done, left]) => [Number(done), Number(left)]
    )
    t.ok(
      progress.length >= 3 &&
        progress.every(
          ([done = 0, left = 0], i) =>
            i === 0 || (done >= (progress[i - 1]?.[0] ?? 0) && left < (progress[i - 1]?.[1] ?? 0))
        ),
      `what is left goes down: ${progress.map((each) => each.join()).join(' ')}`
    )
    t.equal(progress.at(-1)?.[1], 0, 'to nothing')
    const [, resealed] = /^([\d,]+) grants? sealed anew with new, 0 left\.$/m.exec(stdout) ?? []
    t.ok(Number(resealed?.replace(',', '')) > GRANTS / 2, stdout)
    t.same(await perKey(here), { new: GRANTS })
    const refreshed = await rows('select id from grants where rotated_at is not null')
    t.ok(refreshed.length >= 5, `${refreshed.length} were refreshed meanwhile`)
    t.match(await keys(here, 'status', `${NEW},${OLD}`).ended, {
      code: 0,
      stdout: new RegExp(
        `^new: writes and reads, seals ${GRANTS.toLocaleString('en')} grants, .*\nold: reads, seals 0 grants, .*\nNothing is left to rotate; VAULT_KEYS needs no key but the first\\.\n$`
      ),
      stderr: ''
    })

    t.equal(await service.stop(), 0)
    const alone = await start(t, { cwd, env: { ...env, VAULT_KEYS: NEW } })
    for (let user = 1; user <= STEADY + REFRESHED; user++) {
      t.match(
        await (
          await fetch(`${alone.url}/users/${user}/connections/jira/check`, { method: 'POST' })
        ).json(),
        { state: 'active' },
        `user ${user} with the new key alone`
      )
    }
    t.same(await unopened(here, NEW), [], 'every token opens')
    t.equal(
      (await rows('select id from history')).length,
      GRANTS,
      'no state has changed but by connecting'
    )
  }
)

const KILLS = many(2, 50)

t.test(
  `B5 A rotation that is killed at ${KILLS} random moments, or stopped with Ctrl-C, has lost nothing, goes on from there, and ends with nothing left`,
  async (t) => {
    const total = many(300, 1_000)
    const here = await place(t, { made: total })
    const start = seed()
    t.comment(`SEED=${start}`)
    const random = chance(start)
    let [first, second] = [NEW, OLD]
    let midway = 0
    for (let i = 0; i <= KILLS; i++) {
      const signal = i < KILLS ? 'SIGKILL' : 'SIGINT'
      // The first and the last come early, so that something is left then.
      const early = i === 0 || i === KILLS
      const batches = early ? 0 : Math.floor((random() * total) / 50)
      const { child, ended } = keys(here, 'rotate', `${first},${second}`)
      let lines = 0
      await Promise.race([
        ended,
        new Promise<void>((resolve) =>
          child.stderr?.on('data', (chunk: Buffer) => {
            lines += chunk.toString().split('\n').length - 1
            if (lines > batches) resolve()
          })
        )
      ])
      if (!early) await sleep(random() * 5)
      child.kill(signal)
      const { signal: by, code } = await ended
      t.ok(
        by === signal || code === 0,
        `${signal} after batch ${batches + 1}: ${by ?? 'had ended'}`
      )
      t.same(
        await unopened(here, `${first},${second}`),
        [],
        'every token opens, and each row is of one key'
      )
      const counts = await perKey(here)
      if (Object.keys(counts).length === 2) midway++
      // What has come to its end goes back the other way.
      else if (counts[first.split(':')[0] ?? ''] === total) [first, second] = [second, first]
    }
    t.ok(midway >= 1, `${midway} were ended midway`)
    const { code, stdout } = await keys(here, 'rotate', `${first},${second}`).ended
    t.equal(code, 0)
    t.match(stdout, / 0 left\.\n$/)
    t.same(await perKey(here), { [first.split(':')[0] ?? '']: total })
    t.same(await unopened(here, first), [])
  }
)

t.test(
  'B5 A grant that is refreshed, or connected anew, while it is being sealed anew keeps the newer tokens',
  async (t) => {
    const here = await place(t, { real: 3 })
    const { app } = await build(t, { ...here.env, VAULT_KEYS: `${NEW},${OLD}` })
    await here.rows('update grants set access_expires_at = ?', Date.now() - 1)
    const ids = (
      await here.rows<{ grant_id: string }>('select grant_id from connections order by user_id')
    ).map(({ grant_id: id }) => id)
    const [refreshed = '', reconnected = ''] = ids
    const newer = new Map<string, string>()
    const { sealed } = app.store
    let meanwhile = async (): Promise<void> => {
      newer.set(refreshed, await app.access.accessToken(refreshed, { log: app.log }))
      const browser = new Browser(app)
      await browser.open(
        await browser.consent('jira', {
          query: '&state=user_id%3D2',
          extra: '&sandbox_account=person1'
        })
      )
      newer.set(reconnected, await app.access.accessToken(reconnected, { log: app.log }))
    }
    const store: Built['app']['store'] = {
      ...app.store,
      sealed: {
        ...sealed,
        replace: async (batch) => {
          t.equal(batch.length, 3, 'all three were read before')
          await meanwhile()
          meanwhile = async () => {}
          return await sealed.replace(batch)
        }
      }
    }
    t.match(await rekey({ store, vault: app.vault }, app.log), {
      resealed: 1,
      left: 0,
      unreadable: 0
    })
    t.same(await perKey(here), { new: 3 })
    for (const id of [refreshed, reconnected]) {
      app.access.forget(id)
      t.equal(await app.access.accessToken(id, { log: app.log }), newer.get(id))
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
  'B5 A row that does not open is reported, marked, and holds no key back; one that is mended meanwhile is not',
  async (t) => {
    const here = await place(t, { real: 2, made: 60 })
    const { rows, cwd, env } = here
    const row = async (id: string) =>
      (
        await rows<Record<string, string>>(
          'select access_token, refresh_token, previous_refresh_token, state, error_code from grants where id = ?',
          id
        )
      )[0]
    await rows(
      "update grants set access_token = substr(access_token, 1, length(access_token) - 1) where id = 'made-00007'"
    )
    await rows("update grants set refresh_token = access_token where id = 'made-00055'")
    const both = async () => [await row('made-00007'), await row('made-00055')]
    const before = await both()
    const { code, stdout, stderr } = await keys(here, 'rotate', `${NEW},${OLD}`).ended
    t.equal(code, 0)
    t.equal(
      stdout,
      '60 grants sealed anew with new, 0 left.\n2 grants did not open with any key; their users have to connect again.\n'
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
      'marked, and nothing of them deleted'
    )
    const unreadable = async () =>
      (
        await rows(
          "select id from history where to_state = 'needs_reconnect' and code = 'tokens_undecryptable'"
        )
      ).length
    t.equal(await unreadable(), 2)
    t.match(
      await keys(here, 'rotate', `${NEW},${OLD}`).ended,
      { code: 0, stdout: '0 grants sealed anew with new, 0 left.\n' },
      'reported once'
    )
    const service = await start(t, { cwd, env: { ...env, VAULT_KEYS: NEW } })
    t.match(
      await (
        await fetch(`${service.url}/users/1/connections/jira/check`, { method: 'POST' })
      ).json(),
      { state: 'active' }
    )
    t.equal(await service.stop(), 0)

    const mended = newKeyEntry('third')
    const { app } = await build(t, { ...env, VAULT_KEYS: `${mended},${NEW}` })
    await rows(
      "update grants set access_token = 'garbage' where id = (select grant_id from connections where user_id = 1)"
    )
    const store: Built['app']['store'] = {
      ...app.store,
      sealed: {
        ...app.store.sealed,
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
          return await app.store.sealed.replace(batch)
        }
      }
    }
    t.match(await rekey({ store, vault: app.vault }, app.log), { left: 0, unreadable: 0 })
    t.equal(await unreadable(), 2, 'a consent that came meanwhile is not called unreadable')
  }
)
