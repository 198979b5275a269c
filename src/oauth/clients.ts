import { AppError } from '../lib/errors.ts'
import type { Config } from '../config/config.ts'
import { REPORT_SCOPE } from '../providers/atlassian.ts'
import { providerOf, providers, type ProviderId } from '../providers/index.ts'
import { sandboxClient } from './sandbox-client.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { Client } from './authorize-url.ts'

export interface ClientsSettings {
  config: Pick<Config, 'clients' | 'authUrl' | 'apiUrl' | 'reportsPersonalData'>
  /** This process's own address, as it reaches itself; null where there is no sandbox. */
  sandbox: (() => string) | null
}

/** The apps that are registered with Atlassian, and in development the built-in sandbox's. */
export function createClients({ config, sandbox }: ClientsSettings) {
  const scopes = (id: ProviderId) => [
    ...new Set([
      ...(config.clients[id].scopes ?? providerOf(id).scopes),
      ...(config.reportsPersonalData ? [REPORT_SCOPE] : [])
    ])
  ]

  function registered(id: ProviderId): Client | undefined {
    const { clientId, clientSecret, redirectUri } = config.clients[id]
    if (clientId === null || clientSecret === null || redirectUri === null) return undefined
    return {
      provider: id,
      clientId,
      clientSecret,
      redirectUri,
      scopes: scopes(id),
      authorizeUrl: `${config.authUrl}/authorize`,
      tokenUrl: `${config.authUrl}/oauth/token`,
      apiUrl: config.apiUrl
    }
  }

  function sandboxed(id: ProviderId, address: string): Client | undefined {
    if (sandbox === null) return undefined
    const own = `${sandbox()}/sandbox`
    return {
      provider: id,
      ...sandboxClient(id),
      redirectUri: `${address}/auth/${id}/callback`,
      scopes: scopes(id),
      authorizeUrl: `${address}/sandbox/authorize`,
      tokenUrl: `${own}/oauth/token`,
      apiUrl: own
    }
  }

  const all = () =>
    providers
      .flatMap(({ id }) => [registered(id), sandboxed(id, '')])
      .filter((each) => each !== undefined)
  const byId = (clientId: string) => all().find((each) => each.clientId === clientId)

  return {
    /** Everything that a login of this product may ask for. */
    scopes,

    /**
     * The client a login starts with: the configured one, or in development the built-in sandbox's.
     *
     * @param address where browsers reach this service, for the sandbox's pages
     */
    forLogin: (id: ProviderId, address: string): Client | undefined =>
      registered(id) ?? sandboxed(id, address),

    /** The client with this id; undefined once an operator has replaced it. */
    byId,

    /** The ids of all of them. */
    ids: (): string[] => all().map(({ clientId }) => clientId),

    /** The client that a login of this product was started with. */
    ofFlow: (id: ProviderId, clientId: string): Client | undefined =>
      all().find((each) => each.provider === id && each.clientId === clientId),

    /** Everything that logins with this client may ask for, whichever product they are for. */
    scopesOf: (clientId: string): string[] =>
      all()
        .filter((each) => each.clientId === clientId)
        .flatMap((each) => each.scopes),

    missing(id: ProviderId): Record<'client_id' | 'client_secret' | 'redirect_uri', boolean> {
      const { clientId, clientSecret, redirectUri } = config.clients[id]
      return {
        client_id: clientId === null,
        client_secret: clientSecret === null,
        redirect_uri: redirectUri === null
      }
    },

    /** The gateway that serves a grant. @throws AppError `needs_reconnect` where its client is gone */
    apiUrlOf({ clientId }: Pick<Grant, 'clientId'>): string {
      const client = byId(clientId)
      if (client === undefined) throw new AppError('needs_reconnect', CLIENT_GONE.detail)
      return client.apiUrl
    }
  }
}

/** What is wrong with a grant of a client that an operator has replaced. */
export const CLIENT_GONE = {
  code: 'client_removed',
  detail: 'This connection belongs to a client id that is no longer configured. Connect again.'
}

export type Clients = ReturnType<typeof createClients>
