import { getClientSettings } from '../src/config/config.ts'
import fp from 'fastify-plugin'
import { isLoopback } from '../src/config/formats.ts'
import type { PluginOptions } from '../src/app-options.ts'
import { sandboxCredentials } from '../src/oauth/sandbox-client.ts'
import type { SandboxState } from '../src/sandbox/state.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The built-in sandbox; null in production, where its code is not loaded. */
    sandbox: SandboxState | null
  }
}

/**
 * Without a configured app, development uses the sandbox, so that the whole flow works
 * (docs/reference/contract.md#3-login-without-an-app).
 */
export default fp<PluginOptions>(
  async (app, { now, providers }) => {
    if (app.config.production) {
      app.decorate('sandbox', null)
      return
    }
    const { createSandboxState } = await import('../src/sandbox/create-state.ts')
    const { publicUrl } = app.config
    const ids = providers.all.map(({ id }) => id).join('|')
    const callbackPath = new RegExp(`^(/.*)?/(auth/(${ids})|oauth/atlassian)/callback$`)
    const isOwnCallback = (uri: string) => {
      const url = URL.parse(uri)
      if (url === null || !callbackPath.test(url.pathname)) {
        return false
      }
      return (
        isLoopback(url.hostname) || (publicUrl !== null && url.origin === new URL(publicUrl).origin)
      )
    }
    app.decorate(
      'sandbox',
      createSandboxState({
        now,
        clients: providers.all.map(({ id, title, scopes }) => ({
          id: sandboxCredentials(id).clientId,
          secret: sandboxCredentials(id).clientSecret,
          name: `${title} connector`,
          redirectUris: isOwnCallback,
          scopes: [...new Set([...scopes, ...(getClientSettings(app.config, id).scopes ?? [])])],
          access: 'resource' as const
        }))
      })
    )
  },
  { name: 'sandbox', dependencies: ['config'] }
)
