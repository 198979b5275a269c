import fp from 'fastify-plugin'
import { verifyKeyring } from '../src/grants/verify-keys.ts'
import type { Vault } from '../src/vault/vault.ts'

declare module 'fastify' {
  interface FastifyInstance {
    vault: Vault
  }
}

/**
 * Where tokens are sealed and opened, with the keys of the configuration.
 *
 * @throws StartError where a key is wrong, or missing and still needed
 */
export default fp(
  async (app) => {
    app.decorate(
      'vault',
      await verifyKeyring(app.store, app.vaultKeys.keyring, app.vaultKeys.source)
    )
  },
  { name: 'vault', dependencies: ['config', 'database'] }
)
