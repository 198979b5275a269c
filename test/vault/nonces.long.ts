import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { generateKeyEntry, parseKeyring } from '../../src/vault/keyring.ts'
import { createVault, MAX_KEY_USES, type Vault } from '../../src/vault/vault.ts'
import { pickByScale, startTestService, countTokenCalls, type TestService } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

const PROCESS_COUNT = 4
const ENCRYPTION_COUNT = pickByScale(25_000, 250_000)
const NONCE_BYTES = 12
const KEY_ID = VAULT_KEY.split(':')[0] ?? ''

/** Encrypts the given number of times and prints only the nonces. */
const ENCRYPT_SCRIPT = `
  const { parseKeyring } = await import(process.argv[1] + 'keyring.ts')
  const { createVault } = await import(process.argv[1] + 'vault.ts')
  const vault = createVault(parseKeyring(process.env.KEYS).keyring)
  const seals = Number(process.argv[2])
  const nonces = Buffer.alloc(seals * ${NONCE_BYTES})
  for (let i = 0; i < seals; i++) {
    const nonce = vault.encrypt('same', 'grants/1/access_token').split('.')[2]
    Buffer.from(nonce, 'base64url').copy(nonces, i * ${NONCE_BYTES}, 0, ${NONCE_BYTES})
  }
  if (vault.decrypt(vault.encrypt('same', 'here'), 'here') !== 'same') throw new Error('does not open')
  process.stdout.write(nonces)
`

t.test(
  `B4 ${PROCESS_COUNT} processes encrypt ${ENCRYPTION_COUNT} times each with one key and never reuse a nonce`,
  async (t) => {
    const seen = new Set<string>()
    const vault = new URL('../../src/vault/', import.meta.url).href
    const outputs = await Promise.all(
      Array.from(
        { length: PROCESS_COUNT },
        async () =>
          (
            await promisify(execFile)(
              process.execPath,
              ['--input-type=module', '-e', ENCRYPT_SCRIPT, vault, String(ENCRYPTION_COUNT)],
              {
                encoding: 'buffer',
                maxBuffer: 2 * ENCRYPTION_COUNT * NONCE_BYTES,
                env: { PATH: process.env.PATH, KEYS: VAULT_KEY }
              }
            )
          ).stdout
      )
    )
    for (const nonces of outputs) {
      t.equal(nonces.length, ENCRYPTION_COUNT * NONCE_BYTES)
      for (let at = 0; at < nonces.length; at += NONCE_BYTES) {
        seen.add(nonces.toString('latin1', at, at + NONCE_BYTES))
      }
    }
    t.equal(seen.size, PROCESS_COUNT * ENCRYPTION_COUNT)
    // Counters and clocks would repeat after a restart: each of the 96 bits is 1 half of the
    // time.
    const ones = Array<number>(NONCE_BYTES * 8).fill(0)
    const [first = Buffer.alloc(0)] = outputs
    for (let i = 0; i < first.length; i++) {
      for (let bit = 0; bit < 8; bit++) {
        ones[(i % NONCE_BYTES) * 8 + bit]! += ((first[i] ?? 0) >> bit) & 1
      }
    }
    const far = ones.filter(
      (count) => Math.abs(count - ENCRYPTION_COUNT / 2) > (6 * Math.sqrt(ENCRYPTION_COUNT)) / 2
    )
    t.equal(far.length, 0, 'no bit of a nonce is predictable')
  }
)

/** Counts the encryptions of a vault from now on. */
function countEncryptions(vault: Vault): () => number {
  const { encrypt: seal } = vault
  let count = 0
  vault.encrypt = (...args) => {
    count++
    return seal(...args)
  }
  return () => count
}

t.test('B4 The use count of a key is in the database when the service has stopped', async (t) => {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const env = { INTEGRATION_DB_URL: url }
  const uses = async (id: string): Promise<number> =>
    (await queryDatabase(url, 'select uses from vault_keys where id = ?', id))[0]?.uses
  // The proof of the key, and the signing key.
  let before = 2
  for (const round of [1, 2]) {
    const { app, advanceTime } = await startTestService(t, env)
    const sealed = countEncryptions(app.vault)
    for (const product of ['jira', 'confluence']) {
      const browser = new Browser(app)
      await browser.open(
        await browser.consent(product, { query: round === 1 ? '' : '&state=user_id%3D1' })
      )
    }
    for (let i = 0; i < 3; i++) {
      await app.maintenance.runNow()
      advanceTime(2 * HOUR_MS)
      await app.inject({ method: 'POST', url: '/users/1/connections/jira/check' })
    }
    await app.close()
    t.ok(sealed() >= 2 * 2 + 3 * 3, `${sealed()} encryptions in round ${round}`)
    t.equal(await uses(KEY_ID), before + sealed(), `round ${round}: every use is counted`)
    before = await uses(KEY_ID)
  }
})

t.test(
  'B4 An exhausted key finishes what was begun, begins nothing more, and still decrypts',
  async (t) => {
    const { keyring } = parseKeyring(VAULT_KEY)
    if (keyring === undefined) throw new Error('The test key is wrong')
    t.equal(MAX_KEY_USES, 2 ** 30)
    const worn = {
      name: 'AppError',
      code: 'vault_key_exhausted',
      message: /has reached its limit of encryptions\. The operator must add a new one\.$/
    }
    const vault = createVault(keyring, { getInitialUses: () => MAX_KEY_USES - 2 })
    await vault.prepareToEncrypt()
    const sealed = [vault.encrypt('one', 'here'), vault.encrypt('two', 'here')]
    await t.rejects(vault.prepareToEncrypt(), worn, 'after exactly as many uses')
    sealed.push(vault.encrypt('three', 'here'))
    let more = 0
    t.throws(
      () => {
        while (more < 100_000) more += vault.encrypt('more', 'here').length > 0 ? 1 : 0
      },
      worn,
      'encryption itself is refused too'
    )
    t.ok(more > 1_000, `${more} after that`)
    t.ok(MAX_KEY_USES + more < 2 ** 31, 'long before random nonces become unsafe')
    t.same(
      sealed.map((text) => vault.decrypt(text, 'here')),
      ['one', 'two', 'three']
    )
  }
)

/**
 * A service whose key becomes exhausted when Jira is connected, and the browser that connected
 * it.
 */
async function startServiceWithExhaustedKey(
  t: TestContext
): Promise<TestService & { env: NodeJS.ProcessEnv }> {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const env = { INTEGRATION_DB_URL: url }
  await (await startTestService(t, env)).app.close()
  await queryDatabase(url, 'update vault_keys set uses = ?', MAX_KEY_USES - 2)
  const built = await startTestService(t, env)
  await new Browser(built.app).connect('jira')
  return { ...built, env }
}

t.test(
  'B4 With an exhausted key refreshes nothing that it cannot store, logs it, and resumes with a new key',
  async (t) => {
    const { app, advanceTime, sandbox, env } = await startServiceWithExhaustedKey(t)
    const check = async () =>
      await app.inject({ method: 'POST', url: '/users/1/connections/jira/check' })
    t.match((await check()).json(), { state: 'active' }, 'stored tokens are still used')
    const calls = await countTokenCalls(sandbox)
    advanceTime(2 * HOUR_MS)
    const refused = await check()
    t.equal(refused.statusCode, 503)
    t.match(refused.json(), { code: 'vault_key_exhausted' })
    t.equal(await countTokenCalls(sandbox), calls, 'no refresh token was exchanged')
    t.match(
      (await app.inject('/users/1/connections')).json(),
      { connections: [{ product: 'jira', state: 'active' }] },
      'no connection is lost'
    )

    await app.close()
    const renewed = await startTestService(t, {
      ...env,
      VAULT_KEYS: `${generateKeyEntry('next')},${VAULT_KEY}`
    })
    t.equal((await new Browser(renewed.app).connect('jira')).statusCode, 302)
    t.match((await renewed.app.inject('/users/1/connections')).json(), {
      connections: [{ state: 'active' }]
    })
  }
)

t.test('B4 A login whose tokens cannot be stored exchanges no code', async (t) => {
  const { app, sandbox } = await startServiceWithExhaustedKey(t)
  const calls = await countTokenCalls(sandbox)
  const { headers } = await new Browser(app).connect('jira')
  t.match(headers.location, /status=error&error=vault_key_exhausted&/)
  t.equal(await countTokenCalls(sandbox), calls)
  t.match(
    (await app.inject('/users/1/connections')).json(),
    { connections: [{ product: 'jira', state: 'active' }] },
    'the connection is unchanged'
  )
})
