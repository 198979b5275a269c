import { AppError } from '../lib/errors.ts'
import { getClientSettings, type Config } from '../config/config.ts'
import { REPORT_SCOPE } from '../providers/atlassian.ts'
import { getProvider, providers, type ProviderId } from '../providers/index.ts'
import { sandboxCredentials } from './sandbox-client.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { OAuthClient } from './authorize-url.ts'

export interface OAuthClientsOptions {
  config: Pick<Config, 'clients' | 'authUrl' | 'apiUrl' | 'personalDataReporting'>
  /** This process's own address, as it reaches itself; null where there is no sandbox. */
  sandbox: (() => string) | null
}

/** The apps that are registered with Atlassian, and in development the built-in sandbox's. */
export function createOAuthClients({ config, sandbox }: OAuthClientsOptions) {
  const scopesForLogin = (id: ProviderId) => [
    ...new Set([
      ...(getClientSettings(config, id).scopes ?? getProvider(id).scopes),
      ...(config.personalDataReporting ? [REPORT_SCOPE] : [])
    ])
  ]

  function toConfiguredClient(id: ProviderId): OAuthClient | undefined {
    const { clientId, clientSecret, redirectUri } = getClientSettings(config, id)
    if (clientId === null || clientSecret === null || redirectUri === null) return undefined
    return {
      provider: id,
      clientId,
      clientSecret,
      redirectUri,
      scopes: scopesForLogin(id),
      authorizeUrl: `${config.authUrl}/authorize`,
      tokenUrl: `${config.authUrl}/oauth/token`,
      apiUrl: config.apiUrl
    }
  }

  function toSandboxClient(id: ProviderId, publicUrl: string): OAuthClient | undefined {
    if (sandbox === null) return undefined
    const sandboxUrl = `${sandbox()}/sandbox`
    return {
      provider: id,
      ...sandboxCredentials(id),
      redirectUri: `${publicUrl}/auth/${id}/callback`,
      scopes: scopesForLogin(id),
      authorizeUrl: `${publicUrl}/sandbox/authorize`,
      tokenUrl: `${sandboxUrl}/oauth/token`,
      apiUrl: sandboxUrl
    }
  }

  const listClients = () =>
    providers
      .flatMap(({ id }) => [toConfiguredClient(id), toSandboxClient(id, '')])
      .filter((each) => each !== undefined)
  const findById = (clientId: string) => listClients().find((each) => each.clientId === clientId)

  return {
    /** Everything that a login of this product may ask for. */
    scopesForLogin,

    /**
     * The client a login starts with: the configured one, or in development the built-in sandbox's.
     *
     * @param publicUrl where browsers reach this service, for the sandbox's pages
     */
    findForLogin: (id: ProviderId, publicUrl: string): OAuthClient | undefined =>
      toConfiguredClient(id) ?? toSandboxClient(id, publicUrl),

    /** The client with this id; undefined once an operator has replaced it. */
    findById,

    /** The ids of all of them. */
    listIds: (): string[] => listClients().map(({ clientId }) => clientId),

    /** The client that a login of this product was started with. */
    findForFlow: (id: ProviderId, clientId: string): OAuthClient | undefined =>
      listClients().find((each) => each.provider === id && each.clientId === clientId),

    /** Everything that logins with this client may ask for, whichever product they are for. */
    listScopes: (clientId: string): string[] =>
      listClients()
        .filter((each) => each.clientId === clientId)
        .flatMap((each) => each.scopes),

    findMissingSettings(
      id: ProviderId
    ): Record<'client_id' | 'client_secret' | 'redirect_uri', boolean> {
      const { clientId, clientSecret, redirectUri } = getClientSettings(config, id)
      return {
        client_id: clientId === null,
        client_secret: clientSecret === null,
        redirect_uri: redirectUri === null
      }
    },

    /** The gateway that serves a grant. @throws AppError `needs_reconnect` where its client is gone */
    requireApiUrl({ clientId }: Pick<Grant, 'clientId'>): string {
      const client = findById(clientId)
      if (client === undefined) throw new AppError('needs_reconnect', CLIENT_REMOVED.detail)
      return client.apiUrl
    }
  }
}

/** What is wrong with a grant of a client that an operator has replaced. */
export const CLIENT_REMOVED = {
  code: 'client_removed',
  detail: 'This connection belongs to a client id that is no longer configured. Connect again.'
}

export type OAuthClients = ReturnType<typeof createOAuthClients>
