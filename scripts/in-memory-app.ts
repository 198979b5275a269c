import type { FastifyInstance } from 'fastify'
import { buildApp } from '../src/app.ts'
import { newKeyEntry } from '../src/vault/keyring.ts'

/** The whole service on nothing: no settings, no file, no port. */
export async function rehearse(): Promise<FastifyInstance> {
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      INTEGRATION_DB_URL: 'sqlite::memory:',
      VAULT_KEYS: newKeyEntry('rehearsal')
    }
  })
  await app.ready()
  return app
}
