import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { StartError } from '../../src/lib/errors.ts'
import { rotateKey } from '../../src/grants/rotate-key.ts'
import { decryptTokens, encryptTokens } from '../../src/grants/encrypt.ts'
import { generateKeyEntry, parseKeyring } from '../../src/vault/keyring.ts'
import { verifyKeyring } from '../../src/grants/verify-keys.ts'
import { MAX_KEY_USES } from '../../src/vault/vault.ts'
import {
  readDatabaseContents,
  ensureDatabase,
  isPostgres,
  createTestDatabase,
  queryDatabase
} from '../database.ts'
import { pickByScale } from '../auth/helper.ts'
import { buildTestApp } from '../helper.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import type { TestContext } from '../types.ts'

/** The promise is 5 s; it is kept on a machine that has nothing else to do. */
const MAX_REFUSAL_MS = pickByScale(60_000, 5_000)
const PLANTED_TOKEN = 'planted-access-token-4c1d'

/** Every notation of a key. */
function listKeyForms(entry: string): string[] {
  const text = entry.slice(entry.indexOf(':') + 1)
  const bytes = Buffer.from(text, 'base64')
  const written = [
    text,
    bytes.toString('base64url'),
    encodeURIComponent(text),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase()
  ]
  return [
    ...written.flatMap((form) => [form.slice(0, 20), form.slice(-20)]),
    bytes.toString('latin1'),
    bytes.join(','),
    bytes.join(', ')
  ]
}

interface EncryptedDatabase {
  cwd: string
  file: string
  url: string
}

/** A database with some grants encrypted by `key`. */
async function createEncryptedDatabase(
  t: TestContext,
  key: string,
  grants: number
): Promise<EncryptedDatabase> {
  const cwd = createTempFolder(t)
  const file = join(cwd, 'c.db')
  const url = await ensureDatabase(t, file)
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: url, VAULT_KEYS: key })
  for (let i = 0; i < grants; i++) {
    const { user } = await app.store.users.findOrCreate(`p${i}@example.com`, null)
    await app.store.grants.connect(
      {
        id: `grant-${i}`,
        clientId: 'jira-app',
        accountId: `account-${i}`,
        scopes: 'read:me',
        ...encryptTokens(app.vault, `grant-${i}`, {
          access: PLANTED_TOKEN,
          refresh: `${PLANTED_TOKEN}-refresh`,
          previous: null
        }),
        accessExpiresAt: new Date(Date.now() + 3_600_000),
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
  return { cwd, file, url }
}

/** Hash of the file and its WAL, or of every row on PostgreSQL. */
async function hashDatabase({ file, url }: EncryptedDatabase): Promise<string> {
  const contents = isPostgres
    ? [await readDatabaseContents(url)]
    : [file, `${file}-wal`, `${file}-journal`].map((name) =>
        existsSync(name) ? readFileSync(name) : ''
      )
  return contents.map((each) => createHash('sha256').update(each).digest('hex')).join()
}

/** Starts the real process and asserts that it refuses to start; returns all output. */
async function assertStartRefused(
  t: {
    equal: (found: unknown, wanted: unknown, message: string) => void
    ok: (found: unknown, message: string) => void
  },
  name: string,
  { cwd, url, file }: EncryptedDatabase,
  env: NodeJS.ProcessEnv,
  keys: string[]
): Promise<string> {
  const before = await hashDatabase({ cwd, url, file })
  const from = performance.now()
  const { code, stdout, stderr } = await runCommand([], {
    cwd,
    env: {
      APP_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'TRACE',
      INTEGRATION_DB_URL: url,
      ...env
    }
  })
  const output = stdout + stderr
  const took = performance.now() - from
  t.equal(code, 78, `${name}: exit code 78`)
  t.ok(took < MAX_REFUSAL_MS, `${name}: refused after ${Math.round(took)} ms`)
  t.equal(
    await hashDatabase({ cwd, url, file }),
    before,
    `${name}: the database is unchanged to the byte`
  )
  t.ok(
    !output.includes('Server listening') && !/\n\s+at /.test(output),
    `${name}: no port, no stack`
  )
  const leaks = [...keys.flatMap(listKeyForms), PLANTED_TOKEN].filter((form) =>
    output.includes(form)
  )
  t.equal(leaks.length, 0, `${name}: no key and no token is printed`)
  return output
}

t.test(
  'B7 A wrong, missing or exhausted key stops the start with row counts, and changes nothing',
  async (t) => {
    const [right, impostor, other] = [
      generateKeyEntry('k1'),
      generateKeyEntry('k1'),
      generateKeyEntry('k2')
    ]
    const three = await createEncryptedDatabase(t, right, 3)
    const one = await createEncryptedDatabase(t, right, 1)
    const all = [right, impostor, other]
    const says = async (
      name: string,
      stored: EncryptedDatabase,
      keys: string,
      sentences: RegExp[]
    ) => {
      const output = await assertStartRefused(t, name, stored, { VAULT_KEYS: keys }, all)
      const problems = output
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('{'))
      t.match(problems, sentences, name)
      t.equal(problems.length, sentences.length, `${name}: one message per key`)
    }
    // One after the other: the limit is for a start that shares its cores with no other.
    await says('another key under the id', three, impostor, [
      /^VAULT_KEYS: the key "k1" differs from the key .*; 3 stored grants need it\. .*\.$/
    ])
    await says('the only key is another one', one, other, [
      /^VAULT_KEYS lacks the key "k1", and 1 stored grant needs it\. .*connector keys rotate.*\.$/
    ])
    await says('a new key in place of the old one', three, other, [
      /^VAULT_KEYS lacks the key "k1", and 3 stored grants need it\./
    ])
    await says('a wrong key after a correct one', one, `${other},${impostor}`, [
      /the key "k1" differs from the key .*; 1 stored grant needs it\./
    ])
    await queryDatabase(three.url, 'update vault_keys set uses = ?', MAX_KEY_USES)
    await says('worn out', three, right, [
      /^VAULT_KEYS: the key "k1" has reached its limit of encryptions.*connector keys create.*\.$/
    ])
    await says('exhausted, followed by a new key', three, `${right},${other}`, [
      /the key "k1" has reached its limit of encryptions/
    ])
    const { url } = await startServiceProcess(t, {
      cwd: three.cwd,
      env: { APP_ENV: 'test', INTEGRATION_DB_URL: three.url, VAULT_KEYS: `${other},${right}` }
    })
    t.equal(
      (await fetch(`${url}/healthz`)).status,
      200,
      'a new key before the exhausted one is the fix'
    )
  }
)

t.test('B7 Checks a database without key records by its tokens', async (t) => {
  const [right, impostor] = [generateKeyEntry('k1'), generateKeyEntry('k1')]
  const stored = await createEncryptedDatabase(t, right, 7)
  await queryDatabase(stored.url, 'delete from vault_keys')
  // The check samples five rows and accepts if one decrypts: four damaged rows are not a wrong
  // key.
  await queryDatabase(
    stored.url,
    'update grants set access_token = substr(access_token, 1, length(access_token) - 2) ' +
      "where id in ('grant-0', 'grant-1', 'grant-2', 'grant-3')"
  )
  t.match(
    await assertStartRefused(t, 'wrong', stored, { VAULT_KEYS: impostor }, [right, impostor]),
    /the key "k1" differs from the key .*; 7 stored grants need it\./
  )
  t.same(
    await queryDatabase(stored.url, 'select id from vault_keys'),
    [],
    'a refused key is not registered'
  )
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: stored.url, VAULT_KEYS: right })
  await app.close()
  t.match(
    await queryDatabase(stored.url, 'select id from vault_keys'),
    [{ id: 'k1' }],
    'the key is verified from then on'
  )
})

t.test('B7 A database in which nothing is encrypted takes any key', async (t) => {
  const right = generateKeyEntry('k1')
  for (const replacement of [generateKeyEntry('k1'), generateKeyEntry('k9')]) {
    const stored = await createEncryptedDatabase(t, right, 0)
    const env = { INTEGRATION_DB_URL: stored.url, VAULT_KEYS: replacement }
    const { app } = await buildTestApp(t, env)
    t.match((await app.inject('/healthz')).json(), { checks: { vault_key: 'ok' } })
    t.equal(app.vault.keyId, replacement.split(':')[0])
    t.equal(
      (await app.inject({ method: 'POST', url: '/users', payload: { email: 'a@b.co' } }))
        .statusCode,
      201
    )
    await app.close()
    const again = await buildTestApp(t, env)
    t.match((await again.app.inject('/healthz')).json(), { checks: { vault_key: 'ok' } })
    await again.app.close()
  }
})

t.test(
  'B7 The first start registers every key; a key removed after rotation is not required, and stays known',
  async (t) => {
    const [old, fresh, next] = [
      generateKeyEntry('old'),
      generateKeyEntry('fresh'),
      generateKeyEntry('next')
    ]
    const stored = await createEncryptedDatabase(t, old, 4)
    const open = async (keys: string) =>
      (await buildTestApp(t, { INTEGRATION_DB_URL: stored.url, VAULT_KEYS: keys })).app
    t.match(await queryDatabase(stored.url, 'select id, proof from vault_keys'), [
      { id: 'old', proof: /^v2\.old\./ }
    ])
    const rotating = await open(`${fresh},${old}`)
    t.match(
      await queryDatabase(stored.url, 'select id, proof from vault_keys order by created_at, id'),
      [{ id: 'old' }, { id: 'fresh', proof: /^v2\.fresh\./ }]
    )
    t.match(await rotateKey({ store: rotating.store, vault: rotating.vault }, rotating.log), {
      reencrypted: 4,
      remaining: 0,
      undecryptable: 0
    })
    await rotating.close()
    const alone = await open(fresh)
    const grants = await alone.store.encryptedTokens.listEncryptedWith('fresh', 10)
    t.same(
      grants.map((grant) => decryptTokens(alone.vault, grant).access),
      Array(4).fill(PLANTED_TOKEN)
    )
    await alone.close()
    t.match(
      await assertStartRefused(
        t,
        'another key under the old name',
        stored,
        { VAULT_KEYS: `${fresh},${generateKeyEntry('old')}` },
        [old, fresh]
      ),
      /the key "old" differs from the key .*; 0 stored grants need it\./
    )
    await (await open(`${next},${fresh},${old}`)).close()
    t.equal((await queryDatabase(stored.url, 'select id from vault_keys')).length, 3)
  }
)

t.test(
  'B7 Of two instances that start together with different keys of one id, one is refused',
  async (t) => {
    const key = generateKeyEntry('k0')
    const { url } = await createEncryptedDatabase(t, key, 1)
    const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: url, VAULT_KEYS: key })
    const rings = [generateKeyEntry('k1'), generateKeyEntry('k1')]
      .map((entry) => parseKeyring(`${key},${entry}`).keyring)
      .filter((ring) => ring !== undefined)
    const started = await Promise.allSettled(
      rings.map(
        async (ring) => await verifyKeyring({ store: app.store, source: 'VAULT_KEYS' }, ring)
      )
    )
    t.same(started.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    // With a connection each, the other instance may have exited before this one checks.
    t.match(
      started.find(({ status }) => status === 'rejected'),
      {
        reason: {
          exitCode: 78,
          problems: [/^VAULT_KEYS: .* key .*"k1"(\. .*| differs from the key .*)\.$/]
        }
      }
    )
  }
)

t.test('B7 Never writes tokens in clear text, and never reads them as such', async (t) => {
  const key = generateKeyEntry('k1')
  const stored = await createEncryptedDatabase(t, key, 2)
  t.notOk((await readDatabaseContents(stored.url)).includes(PLANTED_TOKEN))
  await queryDatabase(
    stored.url,
    "update grants set access_token = ? where id = 'grant-0'",
    PLANTED_TOKEN
  )
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: stored.url, VAULT_KEYS: key })
  await t.rejects(app.tokenProvider.getAccessToken('grant-0', { log: app.log }), {
    code: 'needs_reconnect'
  })
  t.equal(await app.tokenProvider.getAccessToken('grant-1', { log: app.log }), PLANTED_TOKEN)
})

/** The start error in this environment, or undefined. */
async function getStartProblems(
  t: TestContext,
  env: NodeJS.ProcessEnv
): Promise<string[] | undefined> {
  const { url, drop } = await createTestDatabase()
  t.teardown(drop)
  try {
    await (
      await buildApp({ env: { APP_ENV: 'production', INTEGRATION_DB_URL: url, ...env } })
    ).close()
  } catch (error) {
    if (error instanceof StartError && error.exitCode === 78) return error.problems
    throw error
  }
}

t.test('B8 Production refuses a world-readable key file; development accepts it', async (t) => {
  const key = generateKeyEntry('k1')
  const stored = await createEncryptedDatabase(t, key, 1)
  const file = join(stored.cwd, 'keys')
  writeFileSync(file, `${key}\n`)
  for (const mode of [0o644, 0o604, 0o444, 0o666, 0o777, 0o704]) {
    chmodSync(file, mode)
    t.match(
      await getStartProblems(t, { VAULT_KEYS_FILE: file }),
      [/^The file of VAULT_KEYS_FILE (can be read|is writable) by .*\(chmod .* ends that\)\./],
      mode.toString(8)
    )
    t.equal(
      await getStartProblems(t, { APP_ENV: 'development', VAULT_KEYS_FILE: file }),
      undefined,
      `${mode.toString(8)} in development`
    )
  }
  for (const mode of [0o600, 0o400, 0o640, 0o440]) {
    chmodSync(file, mode)
    t.equal(await getStartProblems(t, { VAULT_KEYS_FILE: file }), undefined, mode.toString(8))
  }
  chmodSync(file, 0o644)
  t.match(
    await assertStartRefused(t, 'the process', stored, { VAULT_KEYS_FILE: file }, [key]),
    /^The file of VAULT_KEYS_FILE can be read by other users of this machine/
  )
})

t.test(
  'B8 Keys from a file work like those from the environment; errors name a malformed entry, not its value',
  async (t) => {
    const [one, two] = [generateKeyEntry('k1'), generateKeyEntry('k2')]
    const text = (entry: string) => entry.slice(3)
    const stored = await createEncryptedDatabase(t, `${one},${two}`, 2)
    const file = join(stored.cwd, 'keys')
    writeFileSync(file, `\uFEFF\n${one}\r\n\n  ${two},\n`, { mode: 0o600 })
    const { app, logText } = await buildTestApp(t, {
      INTEGRATION_DB_URL: stored.url,
      VAULT_KEYS: undefined,
      VAULT_KEYS_FILE: file
    })
    t.same(app.vaultKeys.keyring.ids, ['k1', 'k2'])
    t.match(app.vaultKeys, { source: 'VAULT_KEYS_FILE', secrets: [text(one), text(two)] })
    for (const grant of await app.store.encryptedTokens.listEncryptedWith('k1', 10)) {
      t.equal(decryptTokens(app.vault, grant).access, PLANTED_TOKEN)
    }
    app.log.error(`${one} and ${two}`)
    t.notOk(
      [one, two].some((entry) => logText().includes(text(entry))),
      'the log redacts them too'
    )

    const WRONG: Array<[name: string, content: string, problems: RegExp[]]> = [
      ['empty', '', [/holds no key/]],
      ['blank lines', '\n \r\n,\n', [/holds no key/]],
      [
        'one key under two ids',
        `${one}\nk2:${text(one)}`,
        [/entry 2 repeats the key of another entry/]
      ],
      [
        'the same without its padding',
        `${one}\nk2:${text(one).replace('=', '')}`,
        [/entry 2 repeats the key/]
      ],
      ['UTF-16', Buffer.from(one, 'utf16le').toString('latin1'), [/entry 1 needs an id/]],
      ['a comment', `# mine\n${one}`, [/entry 1 needs an id/]],
      ['an export', `VAULT_KEYS=${one}`, [/entry 1 needs an id/]],
      [
        'a PEM',
        `-----BEGIN KEY-----\n${text(one)}\n-----END KEY-----`,
        [/entry 1 needs an id/, /entry 2 needs an id/, /entry 3 needs an id/]
      ],
      [
        'a key over two lines',
        `${one.slice(0, 25)}\n${one.slice(25)}`,
        [/entry 1 must decode to 32 bytes|entry 1 is not base64/, /entry 2 needs an id/]
      ],
      [
        'several',
        `${one}\nk2:short\nk3:${Buffer.alloc(32, 3).toString('base64')}`,
        [/entry 2 must decode|entry 2 is not base64/, /entry 3 is not random/]
      ]
    ]
    for (const [name, content, problems] of WRONG) {
      writeFileSync(file, content)
      const startProblems = (await getStartProblems(t, { VAULT_KEYS_FILE: file })) ?? []
      t.match(startProblems, problems, name)
      t.ok(
        startProblems.length === problems.length &&
          startProblems.every((sentence) => /^VAULT_KEYS_FILE: .*\.$/.test(sentence)),
        `${name}: one message per entry`
      )
      t.notOk(
        [one, two].flatMap(listKeyForms).some((form) => startProblems.join().includes(form)),
        `${name}: without the value`
      )
    }
    mkdirSync(join(stored.cwd, 'a-folder'), { mode: 0o700 })
    for (const path of ['a-folder', 'missing', 'keys/below-a-file']) {
      t.match(
        await getStartProblems(t, { VAULT_KEYS_FILE: join(stored.cwd, path) }),
        [/^VAULT_KEYS_FILE names a file that cannot be read\.$/],
        path
      )
    }
  }
)
