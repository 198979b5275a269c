import { randomBytes } from 'node:crypto'
import { buildApp } from '../src/app.ts'
import { OAUTH_CLIENT, projects, users } from './seed.ts'
import { getFolderArgument, runSubject } from './serve.ts'

/**
 * The service with production settings, log lines included, and, like the bare subject, without
 * keys and rate limits.
 */
const app = await buildApp({
  env: {
    APP_ENV: 'production',
    API_ACCESS: 'public',
    RATE_LIMIT: '0',
    RATE_LIMIT_LOGIN: '0',
    INTEGRATION_DB_URL: `sqlite:///${getFolderArgument()}/service.db`,
    VAULT_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    JIRA_OAUTH_CLIENT_ID: OAUTH_CLIENT.id,
    JIRA_OAUTH_CLIENT_SECRET: OAUTH_CLIENT.secret,
    JIRA_OAUTH_REDIRECT_URI: OAUTH_CLIENT.redirectUri
  },
  logger: true
})

for (const { email, displayName } of users) await app.store.users.findOrCreate(email, displayName)
await app.store.transaction(() =>
  app.store.items('projects').upsertPage(
    1,
    'site',
    projects.map(({ remoteId, ...item }) => ({ remoteId, item })),
    1
  )
)
await runSubject(app)
