import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { buildHttpUrl } from '../src/http/public-url.ts'
import { createOAuthClients, type OAuthClients } from '../src/oauth/clients.ts'

declare module 'fastify' {
  interface FastifyInstance {
    oauthClients: OAuthClients
  }
}

/** The OAuth clients of this service: one per product, and those of the sandbox. */
export default fp(
  async (app) => {
    app.decorate(
      'oauthClients',
      createOAuthClients({
        providers: app.providers,
        config: app.config,
        getSandboxOrigin: app.sandbox === null ? null : () => getLoopbackUrl(app)
      })
    )
  },
  { name: 'oauth-clients', dependencies: ['config', 'providers', 'sandbox'] }
)

/** The URL under which this process reaches its own server. */
function getLoopbackUrl(app: FastifyInstance): string {
  const address = app.server.address()
  if (address === null || typeof address === 'string') return `http://127.0.0.1:${app.config.port}`
  const host =
    address.address === '0.0.0.0' ? '127.0.0.1' : address.address === '::' ? '::1' : address.address
  return buildHttpUrl(host, address.port)
}
