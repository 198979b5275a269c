import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encryptTokens } from '../../src/grants/encrypt.ts'
import { generateKeyEntry, parseKeyring } from '../../src/vault/keyring.ts'
import { ensureDatabase } from '../database.ts'
import { buildTestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand, type CommandOutput } from '../process/command.ts'
import type { TestContext } from '../types.ts'

const [FIRST_KEY, SECOND_KEY] = [generateKeyEntry('one'), generateKeyEntry('two')]
const PLANTED_TOKEN = 'planted-access-token-77ab'

/** The key in every encoding, and pieces of each. */
function listKeyForms(entry: string): string[] {
  const text = entry.slice(entry.indexOf(':') + 1)
  const bytes = Buffer.from(text, 'base64')
  const latin1 = bytes.toString('latin1')
  const whole = [
    text,
    bytes.toString('base64url'),
    bytes.toString('hex'),
    encodeURIComponent(text),
    encodeURIComponent(encodeURIComponent(text)),
    Buffer.from(text).toString('base64'),
    Buffer.from(text).toString('hex'),
    [...text].reverse().join(''),
    latin1,
    bytes.toString('utf8')
  ]
  const pieces = whole.flatMap((form) => [form.slice(0, 16), form.slice(-16)])
  return [
    ...pieces,
    ...pieces.flatMap((piece) => [piece.toUpperCase(), piece.toLowerCase()]),
    bytes.subarray(0, 8).join(','),
    bytes.subarray(0, 8).join(', '),
    JSON.stringify([...bytes.subarray(0, 8)]).slice(1, -1),
    JSON.stringify(latin1).slice(1, 17)
  ]
}

function findLeaks({ stdout, stderr }: CommandOutput, entries: string[]): string[] {
  return [...entries.flatMap(listKeyForms), PLANTED_TOKEN].filter((form) =>
    (stdout + stderr).includes(form)
  )
}

/** A database in which each key has encrypted this many grants. */
async function createEncryptedDatabase(
  t: TestContext,
  counts: Array<[key: string, grants: number]>
): Promise<{ cwd: string; env: NodeJS.ProcessEnv }> {
  const cwd = createTempFolder(t)
  const env = {
    APP_ENV: 'production',
    INTEGRATION_DB_URL: await ensureDatabase(t, join(cwd, 'c.db'))
  }
  for (const [key, grants] of counts) {
    const { app } = await buildTestApp(t, {
      ...env,
      VAULT_KEYS: [key, ...counts.map(([each]) => each).filter((each) => each !== key)].join()
    })
    for (let i = 0; i < grants; i++) {
      const id = `${app.vault.keyId}-${i}`
      const { user } = await app.store.users.findOrCreate(`${id}@example.com`, null)
      await app.store.grants.connect(
        {
          id,
          clientId: 'jira-app',
          accountId: id,
          scopes: 'read:me',
          ...encryptTokens(app.vault, id, {
            access: PLANTED_TOKEN,
            refresh: PLANTED_TOKEN,
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
  }
  return { cwd, env }
}

t.test(
  'B8 "keys new" prints one new entry for VAULT_KEYS and nothing else, with any settings, and stores nothing',
  async (t) => {
    const cwd = createTempFolder(t)
    const made = await Promise.all([
      runCommand(['keys', 'new'], { cwd }),
      runCommand(['keys', 'new'], {
        cwd,
        env: {
          APP_ENV: 'production',
          VAULT_KEYS: 'k1:broken',
          INTEGRATION_DB_URL: 'mysql://nowhere'
        }
      }),
      runCommand(['keys', 'new', '--id', 'my_Key-1'], { cwd }),
      runCommand(['keys', 'new', '--id=x'], { cwd })
    ])
    for (const { code, stdout, stderr } of made) {
      t.match({ code, stderr }, { code: 0, stderr: '' })
      t.match(stdout, /^[\w-]{1,32}:[A-Za-z0-9+/]{43}=\n$/)
      t.ok(parseKeyring(stdout).keyring, 'the service accepts it unchanged')
    }
    t.equal(
      new Set(made.map(({ stdout }) => stdout.split(':')[1])).size,
      made.length,
      'never the same key'
    )
    const [first, second, named, short] = made.map(({ stdout }) => stdout.split(':')[0])
    t.not(first, second, 'nor the same id, within a day')
    t.same([named, short], ['my_Key-1', 'x'])
    t.ok(
      parseKeyring(made.map(({ stdout }) => stdout).join('')).keyring,
      'together they form one keyring'
    )
    t.same(readdirSync(cwd), [])
  }
)

t.test('B5 Invalid arguments exit with 2 and a sentence, and do nothing', async (t) => {
  const WRONG = [
    [],
    ['nonsense'],
    ['new', 'extra'],
    ['rotate', 'old', 'new'],
    ['status', '--id', 'x'],
    ['new', '--id'],
    ['rotate', '--force'],
    ['new', '--id', ''],
    ['new', '--id', 'a.b'],
    ['new', '--id', 'x'.repeat(33)],
    ['constructor']
  ]
  const cwd = createTempFolder(t)
  const outputs = await Promise.all(
    WRONG.map(async (args) => ({ args, ...(await runCommand(['keys', ...args], { cwd })) }))
  )
  for (const { args, code, stdout, stderr } of outputs) {
    t.match({ code, stdout }, { code: 2, stdout: '' }, JSON.stringify(args))
    t.match(
      stderr,
      new RegExp(
        String.raw`^(Missing|Unknown|Unexpected|--id must have 1 to 32 letters,) .*\. Run ` +
          '`connector keys( create| list| rotate)? --help`\\.\\n$'
      ),
      JSON.stringify(args)
    )
    t.notMatch(stderr, /\n\s+at /, 'no stack trace')
  }
  const help = await runCommand(['keys', 'new', '--help'], { cwd })
  t.match(help, { code: 0, stdout: /--id.*/s, stderr: '' })
  t.match(help.stdout, /To replace a key, use `connector keys add`/)
  t.same(readdirSync(cwd), [], 'no database and no key was created')
})

t.test(
  'B5 "keys status" reports the state and uses of each key; "keys rotate" re-encrypts; neither prints a key',
  async (t) => {
    const { cwd, env } = await createEncryptedDatabase(t, [
      [FIRST_KEY, 3],
      [SECOND_KEY, 1]
    ])
    const both = { ...env, VAULT_KEYS: `${SECOND_KEY},${FIRST_KEY}` }
    const before = await runCommand(['keys', 'status'], { cwd, env: both })
    t.match(before, { code: 0, stderr: '' })
    t.match(
      before.stdout,
      new RegExp(
        String.raw`^two: encrypts and decrypts, encrypts 1 grant, used \d+ times\n` +
          String.raw`one: decrypts, encrypts 3 grants, used 9 times\n` +
          '3 grants left to rotate\\. Run `connector keys rotate`\\.\\n$'
      )
    )
    const rotated = await runCommand(['keys', 'rotate'], { cwd, env: both })
    t.match(rotated, {
      code: 0,
      stdout: '3 grants re-encrypted with two, 0 left.\nNext: run `connector keys remove one`.\n',
      stderr: /^3 re-encrypted, 0 left · 0:\d\d\n$/
    })
    const after = await runCommand(['keys', 'status'], { cwd, env: both })
    t.match(after, { code: 0, stderr: '' })
    t.match(
      after.stdout,
      new RegExp(
        String.raw`^two: encrypts and decrypts, encrypts 4 grants, used 11 times\n` +
          String.raw`one: decrypts, encrypts 0 grants, used 9 times\n` +
          String.raw`Nothing is left to rotate; VAULT_KEYS needs only the key two\.\n$`
      )
    )
    const alone = await runCommand(['keys', 'status'], {
      cwd,
      env: { ...env, VAULT_KEYS: SECOND_KEY }
    })
    t.match(alone, {
      code: 0,
      stdout: new RegExp(
        String.raw`^two: encrypts and decrypts, encrypts 4 grants.*\n` +
          String.raw`one: not configured, encrypts 0 grants.*\nNothing is left`
      )
    })
    const early = await runCommand(['keys', 'rotate'], {
      cwd,
      env: { ...env, VAULT_KEYS: `${SECOND_KEY},${generateKeyEntry('three')}` }
    })
    t.match(early, {
      code: 0,
      stdout:
        '0 grants re-encrypted with two, 0 left.\n' +
        'three encrypts nothing yet. When no instance lacks it, run `connector keys promote three`.\n'
    })
    const file = join(cwd, 'keys')
    writeFileSync(file, `${SECOND_KEY}\n`, { mode: 0o600 })
    const fromFile = await runCommand(['keys', 'status'], {
      cwd,
      env: { ...env, VAULT_KEYS_FILE: file }
    })
    t.match(fromFile, { code: 0, stdout: /VAULT_KEYS_FILE needs only the key two/ })
    for (const output of [before, rotated, after, alone, fromFile]) {
      t.same(findLeaks(output, [FIRST_KEY, SECOND_KEY]), [])
    }
  }
)

t.test(
  'B7 "keys status" and "keys rotate" with wrong settings exit with 78 and a sentence each, and print no key',
  async (t) => {
    const { cwd, env } = await createEncryptedDatabase(t, [[FIRST_KEY, 2]])
    const [impostor, three] = [generateKeyEntry('one'), generateKeyEntry('three')]
    const CASES: Array<[name: string, env: NodeJS.ProcessEnv, sentences: RegExp]> = [
      [
        'no keys in production',
        {},
        /^VAULT_KEYS or VAULT_KEYS_FILE is required in production .*\.$/m
      ],
      [
        'malformed keys',
        {
          VAULT_KEYS: `${FIRST_KEY},two:${SECOND_KEY.slice(4, 30)}`,
          INTEGRATION_DB_URL: 'mysql://x'
        },
        /^(?=[^]*^INTEGRATION_DB_URL .*\.$)[^]*^VAULT_KEYS: entry 2 .*\.$/m
      ],
      [
        'another key under the id',
        { VAULT_KEYS: impostor },
        /^VAULT_KEYS: the key "one" differs from the key .*; 2 stored grants need it\. .*\.$/m
      ],
      [
        'a key that is lacking',
        { VAULT_KEYS: three },
        /^VAULT_KEYS lacks the key "one", and 2 stored grants need it\. .*\.$/m
      ],
      [
        'both sources',
        { VAULT_KEYS: FIRST_KEY, VAULT_KEYS_FILE: '/dev/null' },
        /^VAULT_KEYS and VAULT_KEYS_FILE are both set; keep one\.$/m
      ]
    ]
    for (const [name, wrong, sentences] of CASES) {
      // Every command reads the settings first; status reports before it verifies the keys.
      for (const command of wrong.VAULT_KEYS === impostor || wrong.VAULT_KEYS === three
        ? ['status', 'rotate']
        : ['rotate']) {
        const output = await runCommand(['keys', command], { cwd, env: { ...env, ...wrong } })
        t.equal(output.code, 78, `${command}: ${name}`)
        t.match(output.stderr, sentences, `${command}: ${name}`)
        t.notMatch(output.stderr, /\n\s+at |Error/, `${command}: ${name}: no stack trace`)
        t.same(
          findLeaks(output, [FIRST_KEY, SECOND_KEY, impostor, three]),
          [],
          `${command}: ${name}: no key`
        )
        t.match(
          output.stdout,
          command === 'status' ? /^one: .*, encrypts 2 grants/m : /^$/,
          `${command}: ${name}: status still reports the keys`
        )
      }
    }
    t.match(
      await runCommand(['keys', 'rotate'], { cwd, env: { ...env, VAULT_KEYS: FIRST_KEY } }),
      { code: 0, stdout: '0 grants re-encrypted with one, 0 left.\n' },
      'nothing changed'
    )
  }
)
