import fp from 'fastify-plugin'
import type { PluginOptions } from '../src/app-options.ts'
import type { ProviderRegistry } from '../src/providers/registry.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The products that the service connects. */
    providers: ProviderRegistry
  }
}

export default fp<PluginOptions>(
  async (app, { providers }) => {
    app.decorate('providers', providers)
  },
  { name: 'providers' }
)
