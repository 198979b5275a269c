import { buildApp } from '../src/app.ts'
import { OAUTH_CLIENT, seedDatabase } from './seed.ts'
import { getSubjectOptions, runSubject } from './serve.ts'

/**
 * The service with production settings, log lines included, and, like the bare subject, without
 * keys and rate limits unless its options say otherwise.
 */
const { databaseUrl, vaultKeys, userCount, settings } = getSubjectOptions()
const app = await buildApp({
  env: {
    APP_ENV: 'production',
    API_ACCESS: 'public',
    RATE_LIMIT: '0',
    RATE_LIMIT_LOGIN: '0',
    SHUTDOWN_DELAY: '0',
    INTEGRATION_DB_URL: databaseUrl,
    VAULT_KEYS: vaultKeys,
    JIRA_OAUTH_CLIENT_ID: OAUTH_CLIENT.id,
    JIRA_OAUTH_CLIENT_SECRET: OAUTH_CLIENT.secret,
    JIRA_OAUTH_REDIRECT_URI: OAUTH_CLIENT.redirectUri,
    ...settings
  },
  logger: true
})
await seedDatabase(databaseUrl, userCount)
await runSubject(app)
