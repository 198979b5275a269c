import { AppError } from '../lib/errors.ts'
import { getClientSettings, type Config } from '../config/config.ts'
import { REPORT_SCOPE } from '../providers/atlassian.ts'
import { BASE_SCOPES } from '../providers/endpoint.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import { sandboxCredentials } from './sandbox-client.ts'
import type { Store } from '../store/index.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { OAuthClient } from './authorize-url.ts'

export interface OAuthClientsOptions {
  providers: ProviderRegistry
  config: Pick<Config, 'clients' | 'authUrl' | 'apiUrl' | 'personalDataReporting'>
  /** Returns the URL at which this process reaches its own sandbox; null without a sandbox. */
  getSandboxOrigin: (() => string) | null
}

/** The apps registered with Atlassian and, in development, those of the built-in sandbox. */
export function createOAuthClients({ providers, config, getSandboxOrigin }: OAuthClientsOptions) {
  const scopesForLogin = (id: string) => [
    ...new Set([
      ...(getClientSettings(config, id).scopes ?? providers.get(id).scopes),
      ...BASE_SCOPES,
      ...(config.personalDataReporting ? [REPORT_SCOPE] : [])
    ])
  ]

  function toConfiguredClient(id: string): OAuthClient | undefined {
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

  function toSandboxClient(id: string, publicUrl: string): OAuthClient | undefined {
    if (getSandboxOrigin === null) return undefined
    const sandboxUrl = `${getSandboxOrigin()}/sandbox`
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
    providers.all
      .flatMap(({ id }) => [toConfiguredClient(id), toSandboxClient(id, '')])
      .filter((each) => each !== undefined)
  const findById = (clientId: string) => listClients().find((each) => each.clientId === clientId)

  return {
    /** All scopes a login of this product may request. */
    scopesForLogin,

    /**
     * The client for a new login: the configured one, or the built-in sandbox's in development.
     *
     * @param publicUrl the URL under which browsers reach this service, for the sandbox's pages
     */
    findForLogin: (id: string, publicUrl: string): OAuthClient | undefined =>
      toConfiguredClient(id) ?? toSandboxClient(id, publicUrl),

    /** The client with this id; undefined if it was removed from the settings. */
    findById,

    /** The ids of all clients. */
    listIds: (): string[] => listClients().map(({ clientId }) => clientId),

    /** The client with which a login of this product was started. */
    findForFlow: (id: string, clientId: string): OAuthClient | undefined =>
      listClients().find((each) => each.provider === id && each.clientId === clientId),

    /** All scopes that logins with this client may request, for any product. */
    listScopes: (clientId: string): string[] =>
      listClients()
        .filter((each) => each.clientId === clientId)
        .flatMap((each) => each.scopes),

    findMissingSettings(
      id: string
    ): Record<'client_id' | 'client_secret' | 'redirect_uri', boolean> {
      const { clientId, clientSecret, redirectUri } = getClientSettings(config, id)
      return {
        client_id: clientId === null,
        client_secret: clientSecret === null,
        redirect_uri: redirectUri === null
      }
    },

    /**
     * The gateway URL for a grant.
     *
     * @throws AppError `needs_reconnect` if its client was removed
     */
    requireApiUrl({ clientId }: Pick<Grant, 'clientId'>): string {
      const client = findById(clientId)
      if (client === undefined) throw new AppError('needs_reconnect', CLIENT_REMOVED.detail)
      return client.apiUrl
    }
  }
}

/** The error state of a grant whose client was removed from the settings. */
export const CLIENT_REMOVED = {
  code: 'client_removed',
  detail: 'This connection belongs to a client id that is no longer configured. Connect again.'
}

export type OAuthClients = ReturnType<typeof createOAuthClients>

/**
 * The scopes that this user's connections to other products have from the same client, as far as
 * it still requests them. The new consent replaces the old one, so the login requests them again.
 */
export async function findExistingScopes(
  { connections }: Pick<Store, 'connections'>,
  clients: OAuthClients,
  owner: number | 'first' | undefined,
  { clientId, provider }: OAuthClient
): Promise<string[]> {
  const configuredScopes = clients.listScopes(clientId)
  const scopes =
    owner === undefined
      ? []
      : await connections.findScopesOfOtherConnections(owner, clientId, provider)
  return scopes.filter((scope) => configuredScopes.includes(scope))
}
