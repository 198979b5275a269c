import fp from 'fastify-plugin'
import { collectSecrets, type Config } from '../src/config/config.ts'
import { loadSettings } from '../src/config/load.ts'
import type { PluginOptions } from '../src/app-options.ts'
import type { LoadedKeys } from '../src/vault/source.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    vaultKeys: LoadedKeys
  }
}

/**
 * The settings (`app.config`) and the vault's keys (`app.vaultKeys`). Registers every secret
 * among them for redaction in the log.
 *
 * @throws StartError with every problem at once; exit code 78
 */
export default fp<PluginOptions>(
  async (app, { env, providers, redactValue }) => {
    const { config, keys, createdKeyFile } = await loadSettings(env, {
      providers: providers.all
    })
    app.log.level = config.logLevel
    for (const secret of [...collectSecrets(config), ...keys.secrets]) redactValue(secret)
    if (config.modeDefaulted) {
      app.log.info(
        { event: 'mode_defaulted' },
        `APP_ENV is not set: development, listening on ${config.host}. Deployments set APP_ENV=production.`
      )
    }
    for (const warning of config.warnings) app.log.warn({ event: 'setting_warning' }, warning)
    if (createdKeyFile !== null) {
      app.log.warn(
        { event: 'development_key_made' },
        `VAULT_KEYS is not set: created ${createdKeyFile} for development. Production requires its own key.`
      )
    }
    app.decorate('config', config)
    app.decorate('vaultKeys', keys)
  },
  { name: 'config' }
)
