import { hostname } from 'node:os'
import fp from 'fastify-plugin'
import packageJson from '../package.json' with { type: 'json' }
import type { PluginOptions } from '../src/app-options.ts'
import { createKeyReload } from '../src/grants/reload-keys.ts'
import { signExistingRows } from '../src/grants/sign-existing-rows.ts'
import { verifyKeyring, type VerifiedVault } from '../src/grants/verify-keys.ts'
import { createHeartbeat, type Heartbeat } from '../src/instances/heartbeat.ts'
import { createInstanceId, instanceId } from '../src/lib/instance-id.ts'
import { MAX_KEY_USES } from '../src/vault/vault.ts'

/** Share of a key's uses after which each start and count logs a warning. */
const WARNING_RATIO = 0.9
/** Several apps of one process, as in tests, are several instances. */
let isIdTaken = false

declare module 'fastify' {
  interface FastifyInstance {
    vault: VerifiedVault
    heartbeat: Heartbeat
    /** Reads the file of the vault's keys again. */
    reloadVaultKeys: () => Promise<void>
  }
}

/**
 * The vault (`app.vault`), with the configured keys, and this instance's heartbeat
 * (`app.heartbeat`), which agrees with the others on the key that encrypts. An instance that lacks a
 * key which others have starts, and is not ready.
 *
 * @throws StartError if a key is wrong, or none fits the database
 */
export default fp<PluginOptions>(
  async (app, { redactValue }) => {
    const { store, vaultKeys, log } = app
    const { keyring, source } = vaultKeys
    let hasWarned = false
    const warnIfNearlyExhausted = (uses: number): void => {
      if (hasWarned || uses < MAX_KEY_USES * WARNING_RATIO) return
      hasWarned = true
      log.warn(
        { event: 'vault_key_nearly_exhausted', key_id: keyring.currentId, uses },
        'The vault key is close to its limit of encryptions: add a new key and promote it.'
      )
    }
    const heartbeat = createHeartbeat({
      store,
      keyring,
      log,
      instance: {
        id: isIdTaken ? createInstanceId(hostname()) : instanceId,
        host: hostname(),
        pid: process.pid,
        version: packageJson.version
      }
    })
    isIdTaken = true
    const verification = { store, source, mayLackKeys: true, log }
    app.addHook('onClose', () => heartbeat.stop())
    const vault = await verifyKeyring(verification, keyring, {
      onUsesCounted: warnIfNearlyExhausted,
      confirmCurrentKey: heartbeat.confirmCurrentKey,
      chooseCurrentKey: async (missingKeyIds) => {
        heartbeat.addMissing(missingKeyIds)
        await heartbeat.beat()
      }
    })
    if (heartbeat.getMissingKeyIds().length === 0) await signExistingRows({ store, vault }, log)
    app.addHook('onListen', async () => {
      heartbeat.start()
    })
    app.decorate('vault', vault)
    app.decorate('heartbeat', heartbeat)
    app.decorate(
      'reloadVaultKeys',
      createKeyReload({
        verification,
        vaultKeys,
        heartbeat,
        redactValue,
        isStrict: app.config.production,
        log
      })
    )
  },
  { name: 'vault', dependencies: ['config', 'database'] }
)
