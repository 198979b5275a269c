import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadDatabaseSettings, loadSettings } from '../../src/config/load.ts'
import { buildTestApp, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { judgeStart, PRODUCTION_ENV } from './judge.ts'
import { PLANTED_VALUE } from './table.ts'

/** Writes a secret as `echo` does. */
function writeSecret(t: Test, value: string, mode = 0o600): string {
  const file = join(createTempFolder(t), 'secret')
  writeFileSync(file, `${value}\n`)
  chmodSync(file, mode)
  return file
}

const REDIRECT_URI = { JIRA_OAUTH_REDIRECT_URI: 'https://a.example/oauth/atlassian/callback' }

t.test(
  'Every secret can be given by a file; the line break at its end does not count',
  async (t) => {
    const { config } = await loadSettings({
      ...PRODUCTION_ENV,
      ...REDIRECT_URI,
      INTEGRATION_DB_URL: undefined,
      INTEGRATION_DB_URL_FILE: writeSecret(t, 'postgres://u:p@db.example/connector'),
      JIRA_OAUTH_CLIENT_ID: 'id',
      ATLASSIAN_CLIENT_SECRET_FILE: writeSecret(t, 'of-jira\r'),
      CONFLUENCE_OAUTH_CLIENT_SECRET_FILE: writeSecret(t, 'of-confluence'),
      BOOTSTRAP_API_KEY_FILE: writeSecret(t, 'ck_dGhlcmUgaXMgbm90aGluZyBpbiBoZXJlIHRvIGZpbmQ'),
      AUDIT_ANCHOR_URL: 'https://anchor.example',
      AUDIT_ANCHOR_TOKEN_FILE: writeSecret(t, 'token'),
      HTTPS_PROXY_FILE: writeSecret(t, 'http://u:p@proxy.example:3128')
    })
    t.match(config, {
      databaseUrl: 'postgres://u:p@db.example/connector',
      bootstrapKey: 'ck_dGhlcmUgaXMgbm90aGluZyBpbiBoZXJlIHRvIGZpbmQ',
      auditAnchor: { token: 'token' },
      clients: {
        jira: {
          clientSecret: 'of-jira',
          sources: { client_secret: 'ATLASSIAN_CLIENT_SECRET_FILE' }
        },
        confluence: { clientSecret: 'of-confluence' }
      }
    })
    t.equal(config.proxy?.url.host, 'proxy.example:3128')
    const url = 'sqlite:////nowhere/c.db'
    t.equal(
      (await loadDatabaseSettings({ INTEGRATION_DB_URL_FILE: writeSecret(t, url) })).databaseUrl,
      url,
      'also for commands'
    )
  }
)

t.test(
  'GET /health/oauth names the variable of the file, and the log does not contain the secret',
  async (t) => {
    const { app, logText } = await buildTestApp(t, {
      ...REDIRECT_URI,
      JIRA_OAUTH_CLIENT_ID: 'id',
      JIRA_OAUTH_CLIENT_SECRET_FILE: writeSecret(t, PLANTED_VALUE)
    })
    const { body } = await app.inject('/health/oauth')
    t.match(body, '"JIRA_OAUTH_CLIENT_SECRET_FILE"')
    app.log.info(`a message with ${PLANTED_VALUE}`)
    t.notMatch(body + logText(), PLANTED_VALUE)
  }
)

t.test(
  'Unusable files, and values given twice, are reported together with other problems',
  async (t) => {
    const { problems } = await judgeStart({
      PORT: 'x',
      JIRA_OAUTH_CLIENT_SECRET_FILE: `/nowhere/${PLANTED_VALUE}`,
      // Stands in for no unusable file.
      ATLASSIAN_CLIENT_SECRET: PLANTED_VALUE,
      INTEGRATION_DB_URL: undefined,
      INTEGRATION_DB_URL_FILE: writeSecret(t, ' '),
      BOOTSTRAP_API_KEY_FILE: writeSecret(t, 'weak'),
      AUDIT_ANCHOR_TOKEN: PLANTED_VALUE,
      AUDIT_ANCHOR_TOKEN_FILE: writeSecret(t, PLANTED_VALUE, 0o644)
    })
    const sentences = [
      /^PORT must be/,
      /^JIRA_OAUTH_CLIENT_SECRET_FILE names a file that cannot be read\.$/,
      /^INTEGRATION_DB_URL_FILE names an empty file\.$/,
      /^BOOTSTRAP_API_KEY_FILE must be/,
      /^AUDIT_ANCHOR_TOKEN and AUDIT_ANCHOR_TOKEN_FILE are both set; keep one\.$/,
      /^The file of AUDIT_ANCHOR_TOKEN_FILE can be read by other users .*=readable_keys permits it\.$/
    ]
    for (const sentence of sentences) {
      t.equal(problems.filter((problem) => sentence.test(problem)).length, 1, String(sentence))
    }
    t.equal(problems.length, sentences.length)
    t.notMatch(problems.join(), PLANTED_VALUE)
  }
)

t.test('A secret in a sticky folder, as Kubernetes mounts it, needs no exception', async (t) => {
  const file = writeSecret(t, VAULT_KEY, 0o440)
  const env = { VAULT_KEYS: undefined, VAULT_KEYS_FILE: file }
  chmodSync(join(file, '..'), 0o1777)
  t.same((await judgeStart(env)).problems, [])
  chmodSync(join(file, '..'), 0o777)
  t.match((await judgeStart(env)).problems, [/^The folder of VAULT_KEYS_FILE is writable/])
})

t.test(
  'Production refuses an .env with secrets beside the database, or that others can read',
  async (t) => {
    const folder = createTempFolder(t)
    const data = join(folder, 'data')
    mkdirSync(data)
    const previous = process.cwd()
    process.chdir(folder)
    t.teardown(() => process.chdir(previous))
    const beside = { INTEGRATION_DB_URL: `sqlite:///${folder}/c.db` }
    const apart = { INTEGRATION_DB_URL: `sqlite:///${data}/c.db` }
    writeFileSync('.env', 'PORT=3001\nINTEGRATION_DB_URL=postgres://db.example/c\n', {
      mode: 0o644
    })
    t.same((await judgeStart(beside)).problems, [], 'an .env without secrets')
    for (const line of [
      'AUDIT_ANCHOR_TOKEN=x',
      'HTTPS_PROXY=http://u:p@proxy.example',
      'VAULT_KEYS=k1:x'
    ]) {
      writeFileSync('.env', `${line}\n`)
      chmodSync('.env', 0o600)
      t.match((await judgeStart(beside)).problems, [
        /^\.env holds secrets and lies in the folder of the database.*=env_beside_database permits it\.$/
      ])
      t.same((await judgeStart({ ...beside, ALLOW_INSECURE: 'env_beside_database' })).problems, [])
      t.same(await judgeStart({ ...beside, APP_ENV: 'test' }), { problems: [], warnings: [] })
      t.same((await judgeStart(apart)).problems, [])
      chmodSync('.env', 0o644)
      t.match((await judgeStart(apart)).problems, [/^The file of \.env can be read by other users/])
    }
    writeFileSync('.env', '')
    const keyFile = join(data, 'keys')
    writeFileSync(keyFile, VAULT_KEY, { mode: 0o600 })
    t.match(await judgeStart({ ...apart, VAULT_KEYS: undefined, VAULT_KEYS_FILE: keyFile }), {
      problems: [],
      warnings: [/^The file of VAULT_KEYS_FILE lies in the folder of the database/]
    })
  }
)
