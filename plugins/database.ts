import fp from 'fastify-plugin'
import { actingNow } from '../src/lib/actor.ts'
import type { Outside } from '../src/app-options.ts'
import { openEngine } from '../src/store/engine.ts'
import { createStore, type Store } from '../src/store/index.ts'

declare module 'fastify' {
  interface FastifyInstance {
    store: Store
  }
}

/** Opens the engine named by INTEGRATION_DB_URL, brings its tables up to date, and closes it last of all. */
export default fp<Outside>(
  async (app, { now }) => {
    const engine = await openEngine(app.config.databaseUrl, {
      ...app.config.database,
      onChange: (isThere) => {
        if (isThere) app.log.info({ event: 'database_recovered' }, 'The database answers again.')
        else {
          app.log.error(
            { event: 'database_unavailable' },
            'The database does not answer. Requests are answered with 503, and runs wait.'
          )
        }
      }
    })
    const store = createStore(engine, now, actingNow)
    app.addHook('onClose', () => engine.close())
    app.decorate('store', store)
  },
  { name: 'database', dependencies: ['config'] }
)
