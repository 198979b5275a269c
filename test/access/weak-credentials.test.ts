import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { newSecret } from '../../src/access/secrets.ts'
import { StartError } from '../../src/lib/errors.ts'
import { build, KEY } from '../helper.ts'
import { start } from '../process/child.ts'

/** Keys that somebody might take, none of which is a secret. */
const WEAK = [
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
  newSecret('cs'),
  newSecret('ck').slice(3),
  ` ${newSecret('ck').slice(0, 20)}`,
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
  `${newSecret('ck')}!`,
  `${newSecret('ck')} ${newSecret('ck')}`,
  `ck_${'Aa1'.repeat(80)}`
]

t.test(
  `A4 T41 Each of ${WEAK.length} bootstrap keys that are no secrets stops the start, and is not printed`,
  async (t) => {
    t.ok(WEAK.length >= 30)
    for (const [i, value] of WEAK.entries()) {
      const error = await buildApp({
        env: {
          APP_ENV: 'production',
          INTEGRATION_DB_URL: 'sqlite::memory:',
          VAULT_KEYS: KEY,
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
        t.notOk(error.message.includes(value.trim()), `entry ${i + 1} is not told`)
      }
    }
  }
)

t.test('A4 The process ends with 78 and opens no port', async (t) => {
  const failure = await start(t, {
    env: { APP_ENV: 'production', VAULT_KEYS: KEY, BOOTSTRAP_API_KEY: 'changeme-changeme' }
  }).then(
    () => 'it started',
    ({ message }: Error) => message
  )
  t.match(failure, /^The process ended with 78: BOOTSTRAP_API_KEY must be (?!.*changeme)/s)
})

t.test('Random keys are taken, however they were made', async (t) => {
  const hexadecimal = Array.from({ length: 20 }, () =>
    Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('hex')
  )
  for (const value of [newSecret('ck'), ...hexadecimal.map((digits) => `ck_${digits}`)].slice(
    0,
    6
  )) {
    t.ok((await build(t, { BOOTSTRAP_API_KEY: value })).app, value.slice(0, 6))
  }
})
