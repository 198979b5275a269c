import { randomBytes } from 'node:crypto'
import { buildApp } from '../src/app.ts'
import { OAUTH_CLIENT, projects, users } from './seed.ts'
import { getFolderArgument, runSubject } from './serve.ts'

/** The service with production settings on the database in its argument. It fills an empty database. */
const PAGE_COUNT = 10_000
const BATCH_SIZE = 250
const app = await buildApp({
  env: {
    APP_ENV: 'production',
    API_ACCESS: 'public',
    RATE_LIMIT: '0',
    RATE_LIMIT_LOGIN: '0',
    INTEGRATION_DB_URL: getFolderArgument(),
    VAULT_KEYS: process.env.BENCH_KEYS ?? `bench:${randomBytes(32).toString('base64')}`,
    JIRA_OAUTH_CLIENT_ID: OAUTH_CLIENT.id,
    JIRA_OAUTH_CLIENT_SECRET: OAUTH_CLIENT.secret,
    JIRA_OAUTH_REDIRECT_URI: OAUTH_CLIENT.redirectUri
  },
  logger: true
})

const { store } = app
if ((await store.users.get(1)) === undefined) {
  for (const { email, displayName } of users) await store.users.findOrCreate(email, displayName)
  await store.transaction(() =>
    store.items('projects').upsertPage(
      1,
      'site',
      projects.map(({ remoteId, ...item }) => ({ remoteId, item })),
      1
    )
  )
  for (let from = 0; from < PAGE_COUNT; from += BATCH_SIZE) {
    const pages = Array.from({ length: BATCH_SIZE }, (_, i) => from + i).map((n) => ({
      remoteId: String(n),
      item: {
        spaceKey: `SP${n % 10}`,
        pageId: String(n),
        title: `Page ${(n * 7919) % 1_000_003} of the handbook`,
        status: 'current',
        url: `https://acme.atlassian.net/wiki/spaces/SP${n % 10}/pages/${n}`
      }
    }))
    await store.transaction(() => store.items('pages').upsertPage(1, 'site', pages, 1))
  }
}
await runSubject(app)
