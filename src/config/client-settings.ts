import type { TOptional, TString } from '@sinclair/typebox'
import type { Provider, ProviderSettings } from '../providers/provider.ts'
import { textSetting } from './setting.ts'

type ClientField = keyof ProviderSettings['aliases']
const CLIENT_FIELDS: readonly ClientField[] = ['CLIENT_ID', 'CLIENT_SECRET', 'REDIRECT_URI']

/** `JIRA_OAUTH_CLIENT_ID` and its like, four for each product. */
export type ClientSetting = `${string}_OAUTH_${ClientField | 'SCOPES'}`

/** One OAuth client as configured; null where a value is missing. */
export interface ClientSettings {
  clientId: string | null
  clientSecret: string | null
  redirectUri: string | null
  /** Replaces the product's own scopes. */
  scopes: readonly string[] | null
  /** The variable of each value. */
  sources: { client_id: string | null; client_secret: string | null; redirect_uri: string | null }
}

/** The schema of one product's client settings. */
export function createClientSettings({ title, settings: { prefix, fallback } }: Provider) {
  const note =
    fallback === undefined
      ? 'Also the other names listed in docs/settings.md.'
      : `Unset: the value of ${fallback.title} (docs/settings.md has the order).`
  const settings: Record<ClientSetting, TOptional<TString>> = {
    [`${prefix}_OAUTH_CLIENT_ID`]: textSetting(
      'must be text without spaces',
      `Client id of the ${title} app in the Atlassian developer console. ${note}`,
      { pattern: '^\\S+$' }
    ),
    [`${prefix}_OAUTH_CLIENT_SECRET`]: textSetting(
      'must be text without spaces',
      `Client secret of that app. ${note}`,
      { pattern: '^\\S+$' }
    ),
    [`${prefix}_OAUTH_REDIRECT_URI`]: textSetting(
      'must be an https address (http only for localhost) without fragment',
      `Redirect URI of that app, exactly as registered. ${note}`,
      { format: 'redirect-uri' }
    ),
    [`${prefix}_OAUTH_SCOPES`]: textSetting(
      'must be scope names separated by spaces',
      `Scopes to request instead of the default. Each must be enabled on the ${title} app. ` +
        'read:me and offline_access are always requested.',
      { pattern: '^[\\w.:-]+( +[\\w.:-]+)*$' }
    )
  }
  return settings
}

/** The variables of each client setting of a product, in order of precedence. */
export function listClientVariables(
  provider: Provider
): Array<[setting: ClientSetting, variables: readonly string[]]> {
  return CLIENT_FIELDS.map((field) => [
    `${provider.settings.prefix}_OAUTH_${field}`,
    listVariables(provider, field)
  ])
}

function listVariables({ settings }: Provider, field: ClientField): readonly string[] {
  const { prefix, aliases, fallback } = settings
  return [
    `${prefix}_OAUTH_${field}`,
    ...aliases[field],
    ...(fallback === undefined ? [] : listVariables(fallback, field))
  ]
}

/** Whether a variable, or the one that names its file, belongs to the product itself. */
export function isOwnVariable(
  { settings: { prefix, aliases } }: Provider,
  field: ClientField,
  variable: string
): boolean {
  return [`${prefix}_OAUTH_${field}`, ...aliases[field]].includes(variable.replace(/_FILE$/, ''))
}

/** False for a redirect URI that belongs to the callback of the product it falls back to. */
export function isUsableRedirectUri(provider: Provider, variable: string, value: string): boolean {
  const { fallback } = provider.settings
  const path = URL.parse(value)?.pathname.replace(/\/$/, '') ?? ''
  return (
    isOwnVariable(provider, 'REDIRECT_URI', variable) ||
    fallback === undefined ||
    !path.endsWith(`/auth/${fallback.id}/callback`)
  )
}

/**
 * The client of a product.
 *
 * @param values by setting
 * @param sources the variable of each value
 */
export function toClientSettings(
  { settings: { prefix } }: Provider,
  values: Partial<Record<ClientSetting, string>>,
  sources: Partial<Record<ClientSetting, string>>
): ClientSettings {
  return {
    clientId: values[`${prefix}_OAUTH_CLIENT_ID`] ?? null,
    clientSecret: values[`${prefix}_OAUTH_CLIENT_SECRET`] ?? null,
    redirectUri: values[`${prefix}_OAUTH_REDIRECT_URI`] ?? null,
    scopes: values[`${prefix}_OAUTH_SCOPES`]?.split(/ +/) ?? null,
    sources: {
      client_id: sources[`${prefix}_OAUTH_CLIENT_ID`] ?? null,
      client_secret: sources[`${prefix}_OAUTH_CLIENT_SECRET`] ?? null,
      redirect_uri: sources[`${prefix}_OAUTH_REDIRECT_URI`] ?? null
    }
  }
}
