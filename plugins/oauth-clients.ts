import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { httpAddress } from '../src/http/pagination.ts'
import { createClients, type Clients } from '../src/oauth/clients.ts'

declare module 'fastify' {
  interface FastifyInstance {
    clients: Clients
  }
}

/** The apps this service is to Atlassian. */
export default fp(
  async (app) => {
    app.decorate(
      'clients',
      createClients({
        config: app.config,
        sandbox: app.sandbox === null ? null : () => loopback(app)
      })
    )
  },
  { name: 'oauth-clients', dependencies: ['config', 'sandbox'] }
)

/** This process's own address, as it reaches itself. */
function loopback(app: FastifyInstance): string {
  const address = app.server.address()
  if (address === null || typeof address === 'string') return `http://127.0.0.1:${app.config.port}`
  const host =
    address.address === '0.0.0.0' ? '127.0.0.1' : address.address === '::' ? '::1' : address.address
  return httpAddress(host, address.port)
}
