import fp from 'fastify-plugin'
import { secretsOf, type Config } from '../src/config/config.ts'
import { loadSettings } from '../src/config/load.ts'
import type { Outside } from '../src/app-options.ts'
import type { Keys } from '../src/vault/source.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    keys: Keys
  }
}

/**
 * The settings (`app.config`) and the vault's keys (`app.keys`), with every secret among them hidden from the log.
 *
 * @throws StartError every problem at once, exit code 78
 */
export default fp<Outside>(
  async (app, { env, hide }) => {
    const { config, keys, madeKeyFile } = await loadSettings(env)
    app.log.level = config.logLevel
    for (const secret of [...secretsOf(config), ...keys.secrets]) hide(secret)
    if (config.modeAssumed) {
      app.log.info(
        { event: 'mode_defaulted' },
        `APP_ENV is not set: development, listening on ${config.host}. Deployments set APP_ENV=production.`
      )
    }
    for (const warning of config.warnings) app.log.warn({ event: 'setting_warning' }, warning)
    if (madeKeyFile !== null) {
      app.log.warn(
        { event: 'development_key_made' },
        `No VAULT_KEYS: made ${madeKeyFile} for development. Production needs a key of its own.`
      )
    }
    app.decorate('config', config)
    app.decorate('keys', keys)
  },
  { name: 'config' }
)
