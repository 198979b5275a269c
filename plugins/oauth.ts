import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/errors.ts'
import type { Client } from '../src/oauth/client.ts'
import { createFlow, type Flows } from '../src/oauth/flow.ts'
import { createGrants, type Grants } from '../src/oauth/grants.ts'
import type { Outside } from '../src/outside.ts'
import { providerOf, providers, type ProviderId } from '../src/providers/index.ts'
import { sandboxClient } from '../src/providers/sandbox.ts'
import type { Connection } from '../src/store/grants.ts'

export interface OAuth {
  flow: Flows
  grants: Grants
  /**
   * The client a login starts with: the configured one, or in development the built-in sandbox's.
   *
   * @param address where browsers reach this service, for the sandbox's pages
   */
  client: (provider: ProviderId, address: string) => Client | undefined
  missing: (provider: ProviderId) => Record<'client_id' | 'client_secret' | 'redirect_uri', boolean>
  scopes: (provider: ProviderId) => readonly string[]
  /** What this user's connections at the client hold already, as far as it is still configured. */
  held: (userId: number | undefined, client: Client) => Promise<string[]>
  /** The gateway that serves a connection's grant. */
  apiUrlOf: (connection: Connection) => Promise<string>
}

declare module 'fastify' {
  interface FastifyInstance { oauth: OAuth }
}

/** An exchange asks three times at most, one of them alone: token endpoint, then account and sites. */
const CALLS_IN_A_ROW = 2

/** The login flow and the vault's grants, bound to configuration, network and clock. */
export default fp<Outside>(async (app, { now }) => {
  const { store, http, config } = app

  const scopes = (id: ProviderId) => config.clients[id].scopes ?? providerOf(id).scopes
  const registered = (id: ProviderId): Client | undefined => {
    const { clientId, clientSecret, redirectUri } = config.clients[id]
    if (clientId === null || clientSecret === null || redirectUri === null) return undefined
    return {
      provider: id, clientId, clientSecret, redirectUri, scopes: scopes(id), authorizeUrl: `${config.authUrl}/authorize`, tokenUrl: `${config.authUrl}/oauth/token`, apiUrl: config.apiUrl
    }
  }
  const sandboxed = (id: ProviderId, address: string): Client | undefined => app.sandbox === null
    ? undefined
    : {
        provider: id,
        ...sandboxClient(id),
        redirectUri: `${address}/auth/${id}/callback`,
        scopes: scopes(id),
        authorizeUrl: `${address}/sandbox/authorize`,
        tokenUrl: `${loopback(app)}/sandbox/oauth/token`,
        apiUrl: `${loopback(app)}/sandbox`
      }
  const client = (id: ProviderId, address: string) => registered(id) ?? sandboxed(id, address)
  const all = () => providers.flatMap(({ id }) => [registered(id), sandboxed(id, '')]).filter((each) => each !== undefined)
  const clientById = (clientId: string) => all().find((each) => each.clientId === clientId)

  const grants = createGrants({ store, http, now, vault: app.vault, clientById })
  const flow = createFlow({
    store,
    grants,
    http,
    now,
    patienceMs: CALLS_IN_A_ROW * (config.connectTimeoutMs + config.answerTimeoutMs),
    acceptForeignState: !config.production,
    clientOf: (id, clientId) => all().find((each) => each.provider === id && each.clientId === clientId)
  })

  app.decorate('oauth', {
    flow,
    grants,
    client,
    scopes,
    missing: (id) => {
      const { clientId, clientSecret, redirectUri } = config.clients[id]
      return { client_id: clientId === null, client_secret: clientSecret === null, redirect_uri: redirectUri === null }
    },
    held: async (userId, { clientId }) => {
      const configured = all().filter((each) => each.clientId === clientId).flatMap((each) => each.scopes)
      const held = userId === undefined ? [] : await store.grants.heldScopes(userId, clientId)
      return held.filter((scope) => configured.includes(scope))
    },
    apiUrlOf: async ({ grantId }) => {
      const grant = await store.grants.get(grantId)
      const owner = grant === undefined ? undefined : clientById(grant.clientId)
      if (owner === undefined) throw new AppError('needs_reconnect', 'This connection belongs to a client id that is no longer configured. Connect again.')
      return owner.apiUrl
    }
  })
}, { name: 'oauth', dependencies: ['config', 'vault', 'database', 'upstream', 'sandbox'] })

/** This process's own address, as it reaches itself. */
function loopback (app: FastifyInstance): string {
  const address = app.server.address()
  if (address === null || typeof address === 'string') return `http://127.0.0.1:${app.config.port}`
  const host = address.address === '0.0.0.0' ? '127.0.0.1' : address.address === '::' ? '::1' : address.address
  return `http://${address.family === 'IPv6' || host.includes(':') ? `[${host}]` : host}:${address.port}`
}
