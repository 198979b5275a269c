import fp from 'fastify-plugin'
import { signExistingRows } from '../src/grants/sign-existing-rows.ts'
import { verifyKeyring, type VerifiedVault } from '../src/grants/verify-keys.ts'
import { MAX_KEY_USES } from '../src/vault/vault.ts'

/** Share of a key's uses after which each start and count logs a warning. */
const WARNING_RATIO = 0.9

declare module 'fastify' {
  interface FastifyInstance {
    vault: VerifiedVault
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
    const { keyring, source } = vaultKeys
    let hasWarned = false
    const warnIfNearlyExhausted = (uses: number): void => {
      if (hasWarned || uses < MAX_KEY_USES * WARNING_RATIO) return
      hasWarned = true
      log.warn(
        { event: 'vault_key_nearly_exhausted', key_id: keyring.current.id, uses },
        'The vault key is close to its limit of encryptions: add a new key in front of it.'
      )
    }
    const vault = await verifyKeyring(store, keyring, source, warnIfNearlyExhausted)
    await signExistingRows({ store, vault }, log)
    app.decorate('vault', vault)
  },
  { name: 'vault', dependencies: ['config', 'database'] }
)
