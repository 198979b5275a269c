import type { FastifyInstance } from 'fastify'
import { buildApp } from '../src/app.ts'
import { generateKeyEntry } from '../src/vault/keyring.ts'

/** The whole service on nothing: no settings, no file, no port. */
export async function buildInMemoryApp(): Promise<FastifyInstance> {
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      INTEGRATION_DB_URL: 'sqlite::memory:',
      VAULT_KEYS: generateKeyEntry('rehearsal')
    }
  })
  await app.ready()
  return app
}
