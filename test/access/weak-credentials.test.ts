import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { createSecret } from '../../src/access/secrets.ts'
import { StartError } from '../../src/lib/errors.ts'
import { buildTestApp, VAULT_KEY } from '../helper.ts'
import { startServiceProcess } from '../process/child.ts'

/** Weak keys that an operator might choose. */
const WEAK_KEYS = [
  'admin',
  'password',
  'changeme',
  'secret',
  'letmein',
  'test',
  '1234567890',
  'ck_',
  'ck_short',
  'ck_0123456789abcdef',
  'ck_changeme',
  'your-api-key-here',
  'sk_live_4242424242424242424242424242',
  createSecret('cs'),
  createSecret('jcck').slice(5),
  ` ${createSecret('jcck').slice(0, 20)}`,
  `ck_${'a'.repeat(32)}`,
  `ck_${'0'.repeat(64)}`,
  `ck_${'-'.repeat(43)}`,
  `ck_${'ab'.repeat(20)}`,
  `ck_${'password'.repeat(5)}`,
  `ck_${'0123456789'.repeat(4)}`,
  `ck_${'0123456789abcdef'.repeat(2)}`,
  `ck_${'fedcba9876543210'.repeat(4)}`,
  'ck_abcdefghijklmnopqrstuvwxyz0123456789',
  'ck_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_',
  `ck_${'qwertyuiop'.repeat(4)}`,
  'ck_changeme-changeme-now-0123456789abcdef',
  'ck_replace_this_with_a_secret_of_your_own_0',
  'ck_this-is-the-default-key-of-the-service-1',
  'ck_EXAMPLE-4f9a0c7d2be15863-EXAMPLE-key',
  `ck_${'Xy7pQ2mNvT9k'.repeat(3)}`,
  `ck_${'x'.repeat(31)}`,
  `${createSecret('jcck')}!`,
  `${createSecret('jcck')} ${createSecret('jcck')}`,
  `ck_${'Aa1'.repeat(80)}`
]

t.test(
  `A4 T41 Each of ${WEAK_KEYS.length} weak bootstrap keys stops the start and is not printed`,
  async (t) => {
    t.ok(WEAK_KEYS.length >= 30)
    for (const [i, value] of WEAK_KEYS.entries()) {
      const error = await buildApp({
        env: {
          APP_ENV: 'production',
          INTEGRATION_DB_URL: 'sqlite::memory:',
          VAULT_KEYS: VAULT_KEY,
          BOOTSTRAP_API_KEY: value
        }
      }).then(
        async (app) => {
          await app.close()
        },
        (error: unknown) => error
      )
      if (!(error instanceof StartError)) {
        t.fail(`entry ${i + 1} started: ${value}`)
        continue
      }
      t.match(
        error,
        { exitCode: 78, problems: [/^BOOTSTRAP_API_KEY must be .*\.$/] },
        `entry ${i + 1}`
      )
      if (value.trim().length > 4) {
        t.notOk(error.message.includes(value.trim()), `entry ${i + 1} is not printed`)
      }
    }
  }
)

t.test('A4 The process exits with 78 and opens no port', async (t) => {
  const failure = await startServiceProcess(t, {
    env: { APP_ENV: 'production', VAULT_KEYS: VAULT_KEY, BOOTSTRAP_API_KEY: 'changeme-changeme' }
  }).then(
    () => 'it started',
    ({ message }: Error) => message
  )
  t.match(failure, /^The process ended with 78: BOOTSTRAP_API_KEY must be (?!.*changeme)/s)
})

t.test('Accepts random keys in every encoding', async (t) => {
  const hexadecimal = Array.from({ length: 20 }, () =>
    Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('hex')
  )
  for (const value of [createSecret('jcck'), ...hexadecimal.map((digits) => `ck_${digits}`)].slice(
    0,
    6
  )) {
    t.ok((await buildTestApp(t, { BOOTSTRAP_API_KEY: value })).app, value.slice(0, 6))
  }
})
