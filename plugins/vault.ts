import fp from 'fastify-plugin'
import { verifyKeyring } from '../src/grants/verify-keys.ts'
import type { Vault } from '../src/vault/vault.ts'

declare module 'fastify' {
  interface FastifyInstance {
    vault: Vault
  }
}

/**
 * The vault (`app.vault`), with the configured keys.
 *
 * @throws StartError if a key is wrong, or missing and still in use
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
