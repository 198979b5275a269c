import { getClientSettings, type Config } from '../config/config.ts'
import { providers } from '../providers/index.ts'

/** The ends of the callback paths, as they may be registered under any prefix. */
const CALLBACK_PATTERN = /\/(auth\/[a-z]+|oauth\/atlassian)\/callback\/?$/

/** The address that a redirect URI proves to be this service's: what is in front of the callback's own path. */
export function baseUrlFromRedirectUri(redirectUri: string): string | null {
  const { origin, pathname } = new URL(redirectUri)
  return CALLBACK_PATTERN.test(pathname) ? origin + pathname.replace(CALLBACK_PATTERN, '') : null
}

/** The redirect URI that tells where browsers reach this service, for what belongs to no product; null where none does. */
export function findRedirectUriWithBaseUrl({ clients }: Pick<Config, 'clients'>): string | null {
  return (
    providers
      .map(({ id }) => getClientSettings({ clients }, id).redirectUri)
      .find((uri) => uri !== null && baseUrlFromRedirectUri(uri) !== null) ?? null
  )
}

/** Whether browsers come by https, as far as the settings say. */
export function isServedOverHttps(config: Pick<Config, 'clients' | 'publicUrl'>): boolean {
  return (findRedirectUriWithBaseUrl(config) ?? config.publicUrl ?? '').startsWith('https:')
}
