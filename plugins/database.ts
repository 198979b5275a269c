import fp from 'fastify-plugin'
import { getCurrentActor } from '../src/lib/actor.ts'
import type { PluginOptions } from '../src/app-options.ts'
import { openEngine } from '../src/store/open-engine.ts'
import { createDatabaseProbe, type DatabaseProbe } from '../src/store/database-probe.ts'
import { createStore, type Store } from '../src/store/index.ts'
import { createSigner } from '../src/vault/signer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    store: Store
    databaseProbe: DatabaseProbe
  }
}

/**
 * Opens the database that INTEGRATION_DB_URL names, applies migrations, and closes it after
 * everything else.
 */
export default fp<PluginOptions>(
  async (app, { now, providers }) => {
    const engine = await openEngine(app.config.databaseUrl, {
      ...app.config.database,
      itemTables: providers.collections.map(({ table }) => table),
      onMigrated: (count) => {
        app.log.info({ event: 'migrations_applied', count }, 'The tables are of this version now.')
      },
      onAvailabilityChange: (isAvailable) => {
        if (isAvailable) {
          app.log.info({ event: 'database_recovered' }, 'The database responds again.')
        } else {
          app.log.error(
            { event: 'database_unavailable' },
            'The database does not respond. Requests get 503 and runs wait.'
          )
        }
      }
    })
    const store = createStore(engine, now, createSigner(app.vaultKeys.keyring), getCurrentActor)
    app.addHook('onClose', () => engine.close())
    app.decorate('store', store)
    app.decorate('databaseProbe', createDatabaseProbe(store, app.log))
  },
  { name: 'database', dependencies: ['config'] }
)
