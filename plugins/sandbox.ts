import fp from 'fastify-plugin'
import { isLoopback } from '../src/config/formats.ts'
import type { Outside } from '../src/app-options.ts'
import { PRODUCTS, type ProviderId } from '../src/model/products.ts'
import { providerOf } from '../src/providers/index.ts'
import { sandboxClient } from '../src/oauth/sandbox-client.ts'
import type { World } from '../src/sandbox/state.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The built-in stand-in for Atlassian: null in production, where its code is not even loaded. */
    sandbox: World | null
  }
}

/** Development without an Atlassian app still has the whole flow (contract.md section 3). */
export default fp<Outside>(
  async (app, { now }) => {
    if (app.config.production) {
      app.decorate('sandbox', null)
      return
    }
    const { createWorld } = await import('../src/sandbox/state.ts')
    const { publicUrl } = app.config
    const isOwnCallback = (uri: string) => {
      const url = URL.parse(uri)
      if (
        url === null ||
        !/^(\/.*)?\/(auth\/(jira|confluence)|oauth\/atlassian)\/callback$/.test(url.pathname)
      ) {
        return false
      }
      return (
        isLoopback(url.hostname) || (publicUrl !== null && url.origin === new URL(publicUrl).origin)
      )
    }
    app.decorate(
      'sandbox',
      createWorld({
        now,
        clients: (Object.keys(PRODUCTS) as ProviderId[]).map((id) => ({
          id: sandboxClient(id).clientId,
          secret: sandboxClient(id).clientSecret,
          name: `${PRODUCTS[id]} connector`,
          redirectUris: isOwnCallback,
          scopes: [
            ...new Set([...providerOf(id).scopes, ...(app.config.clients[id].scopes ?? [])])
          ],
          access: 'resource' as const
        }))
      })
    )
  },
  { name: 'sandbox', dependencies: ['config'] }
)
