import { writeFileSync } from 'node:fs'
import { buildApp } from './app.ts'
import { newKeyEntry } from './vault/keyring.ts'

// The document depends on no setting and no data, so it is built on nothing: `npm run openapi` writes the same each time.
const app = await buildApp({
  env: { APP_ENV: 'test', INTEGRATION_DB_URL: 'sqlite::memory:', VAULT_KEYS: newKeyEntry('openapi') }
})
await app.ready()
writeFileSync('openapi.json', `${JSON.stringify(app.swagger(), null, 2)}\n`)
await app.close()
