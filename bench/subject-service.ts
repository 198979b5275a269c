import { randomBytes } from 'node:crypto'
import { buildApp } from '../src/app.ts'
import { CLIENT, projects, users } from './seed.ts'
import { folder, serve } from './serve.ts'

/** The service as production runs it, log lines included. */
const app = await buildApp({
  env: {
    APP_ENV: 'production',
    INTEGRATION_DB_URL: `sqlite:///${folder()}/service.db`,
    VAULT_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    JIRA_OAUTH_CLIENT_ID: CLIENT.id,
    JIRA_OAUTH_CLIENT_SECRET: CLIENT.secret,
    JIRA_OAUTH_REDIRECT_URI: CLIENT.redirectUri
  },
  logger: true
})

for (const { email, displayName } of users) await app.store.users.save(email, displayName)
await app.store.inSteps(() =>
  app.store.projects.saving(
    1,
    'site',
    projects.map(({ remoteId, ...item }) => ({ remoteId, item })),
    1
  )
)
await serve(app)
