import fp from 'fastify-plugin'
import { signExistingRows } from '../src/grants/sign-existing-rows.ts'
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
    const { store, vaultKeys, log } = app
    const vault = await verifyKeyring(store, vaultKeys.keyring, vaultKeys.source)
    await signExistingRows({ store, vault }, log)
    app.decorate('vault', vault)
  },
  { name: 'vault', dependencies: ['config', 'database'] }
)
