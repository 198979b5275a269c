import fp from 'fastify-plugin'
import { createVault, type Vault } from '../src/vault/vault.ts'

declare module 'fastify' {
  interface FastifyInstance { vault: Vault }
}

/** Where tokens are sealed and opened, with the keys of the configuration. */
export default fp(async (app) => {
  app.decorate('vault', createVault(app.keyring))
}, { name: 'vault', dependencies: ['config'] })
