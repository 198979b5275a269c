import { randomBytes } from 'node:crypto'
import { buildApp } from '../src/app.ts'
import { CLIENT, projects, users } from './seed.ts'
import { folder, serve } from './serve.ts'

/** The service as production runs it, on the database whose address is its argument; whoever finds it empty fills it. */
const PAGES = 10_000
const AT_ONCE = 250
const app = await buildApp({
  env: {
    APP_ENV: 'production',
    INTEGRATION_DB_URL: folder(),
    VAULT_KEYS: process.env.BENCH_KEYS ?? `bench:${randomBytes(32).toString('base64')}`,
    JIRA_OAUTH_CLIENT_ID: CLIENT.id,
    JIRA_OAUTH_CLIENT_SECRET: CLIENT.secret,
    JIRA_OAUTH_REDIRECT_URI: CLIENT.redirectUri
  },
  logger: true
})

const { store } = app
if ((await store.users.get(1)) === undefined) {
  for (const { email, displayName } of users) await store.users.save(email, displayName)
  await store.inSteps(() =>
    store.projects.saving(
      1,
      'site',
      projects.map(({ remoteId, ...item }) => ({ remoteId, item })),
      1
    )
  )
  for (let from = 0; from < PAGES; from += AT_ONCE) {
    const pages = Array.from({ length: AT_ONCE }, (_, i) => from + i).map((n) => ({
      remoteId: String(n),
      item: {
        spaceKey: `SP${n % 10}`,
        pageId: String(n),
        title: `Page ${(n * 7919) % 1_000_003} of the handbook`,
        status: 'current',
        url: `https://acme.atlassian.net/wiki/spaces/SP${n % 10}/pages/${n}`
      }
    }))
    await store.inSteps(() => store.pages.saving(1, 'site', pages, 1))
  }
}
await serve(app)
