import type { Provider } from '../providers/provider.ts'
import type { ResolvedSettings } from './aliases.ts'
import { isOwnVariable, type ClientSetting } from './client-settings.ts'

/**
 * Warns of OAuth clients that a login probably cannot use: redirect URIs whose path this service does
 * not serve, unless a proxy rewrites it, and incomplete clients, whose logins answer with
 * `oauth_not_configured`.
 */
export function findClientWarnings(
  resolved: ResolvedSettings,
  providers: readonly Provider[]
): string[] {
  return providers.flatMap((provider) => [
    ...findUnservedRedirectUri(provider, resolved),
    ...findIncompleteClient(provider, resolved)
  ])
}

/** A proxy may keep or strip a prefix of the path, so the path has to end with one of the callbacks. */
function findUnservedRedirectUri(
  provider: Provider,
  { values, sources }: ResolvedSettings
): string[] {
  const setting: ClientSetting = `${provider.settings.prefix}_OAUTH_REDIRECT_URI`
  const { [setting]: uri = '' } = values
  const { [setting]: source = setting } = sources
  const path = URL.parse(uri)?.pathname.replace(/\/$/, '')
  const callbacks = [`/auth/${provider.id}/callback`, '/oauth/atlassian/callback']
  const isServed = path === undefined || callbacks.some((callback) => path.endsWith(callback))
  return isServed || !isOwnVariable(provider, 'REDIRECT_URI', source)
    ? []
    : [
        `${source} has a path that this service does not serve: it should end with ` +
          `${callbacks.join(' or ')}, unless a proxy rewrites it. ` +
          'Register the same address in the Atlassian developer console.'
      ]
}

/** Values that a product only borrows from another one do not make a client of its own. */
function findIncompleteClient(provider: Provider, { values, sources }: ResolvedSettings): string[] {
  const fields = ['CLIENT_ID', 'CLIENT_SECRET', 'REDIRECT_URI'] as const
  const toSetting = (field: (typeof fields)[number]): ClientSetting =>
    `${provider.settings.prefix}_OAUTH_${field}`
  const own = fields
    .map((field) => ({ field, source: sources[toSetting(field)] }))
    .filter(({ field, source }) => source !== undefined && isOwnVariable(provider, field, source))
    .map(({ source }) => source)
  const missing = fields.map(toSetting).filter((setting) => values[setting] === undefined)
  return own.length === 0 || missing.length === 0
    ? []
    : [
        `${own.join(' and ')} ${own.length === 1 ? 'is' : 'are'} set without ${missing.join(' and ')}: ` +
          `${provider.title} cannot be connected until ${missing.length === 1 ? 'it is' : 'they are'} set.`
      ]
}
