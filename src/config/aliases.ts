import { distance } from 'fastest-levenshtein'
import type { Provider } from '../providers/provider.ts'
import { isUsableRedirectUri, listClientVariables } from './client-settings.ts'
import type { Setting } from './schema.ts'

const MIN_NAME_LENGTH = 8
const MAX_TYPO_DISTANCE = 2
const SECRET_VARIABLES = ['VAULT_KEYS', 'BOOTSTRAP_API_KEY', 'INTEGRATION_DB_URL'] as const
const SERVICE_VARIABLES: ReadonlyArray<[Setting, readonly string[]]> = [
  [
    'APP_FRONTEND_URL',
    ['APP_FRONTEND_URL', 'NEXT_PUBLIC_APP_FRONTEND_URL', 'NEXT_PUBLIC_FRONTEND_BASE_URL']
  ],
  [
    'ATLASSIAN_CLOUD_BASE_URL',
    ['ATLASSIAN_CLOUD_BASE_URL', 'NEXT_PUBLIC_ATLASSIAN_CLOUD_BASE_URL']
  ],
  ['PUBLIC_URL', ['PUBLIC_URL', 'PUBLIC_BASE_URL']]
]

/** The settings that have several variables, with those variables in order of precedence. */
export function listAliases(providers: readonly Provider[]): Map<Setting, readonly string[]> {
  return new Map([...providers.flatMap(listClientVariables), ...SERVICE_VARIABLES])
}

/** The variables whose values are secret, or may contain a password. */
export function listSecretVariables(providers: readonly Provider[]): string[] {
  const clientSecrets = [...listAliases(providers)]
    .filter(([setting]) => setting.endsWith('_OAUTH_CLIENT_SECRET'))
    .flatMap(([, variables]) => variables)
  return [...new Set([...clientSecrets, ...SECRET_VARIABLES])]
}

export interface ResolvedSettings {
  values: Partial<Record<Setting, string>>
  /** The variable of each value. */
  sources: Partial<Record<Setting, string>>
}

/**
 * Picks the value of each setting from the environment: the first variable that is not empty, trimmed
 * (docs/reference/contract.md#2-settings).
 */
export function resolveSettings(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[],
  providers: readonly Provider[]
): ResolvedSettings {
  const aliases = listAliases(providers)
  const values: ResolvedSettings['values'] = {}
  const sources: ResolvedSettings['sources'] = {}
  for (const setting of settings) {
    const provider = providers.find(
      ({ settings: { prefix } }) => setting === `${prefix}_OAUTH_REDIRECT_URI`
    )
    const source = (aliases.get(setting) ?? [setting]).find((variable) => {
      const value = env[variable]?.trim() ?? ''
      return value !== '' && (!provider || isUsableRedirectUri(provider, variable, value))
    })
    if (source === undefined) continue
    values[setting] = env[source]?.trim() ?? ''
    sources[setting] = source
  }
  return { values, sources }
}

/** Finds variables that look like a misspelt setting, which would have no effect. */
export function findTypos(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[],
  providers: readonly Provider[]
): Array<{ variable: string; suggestion: string }> {
  const known = new Set([...settings, ...[...listAliases(providers).values()].flat()])
  return Object.keys(env).flatMap((variable) => {
    const isTooShort = variable.length < MIN_NAME_LENGTH
    if (isTooShort || known.has(variable) || env[variable]?.trim() === '') return []
    const suggestion = [...known].find(
      (name) => env[name] === undefined && distance(variable, name) <= MAX_TYPO_DISTANCE
    )
    return suggestion === undefined ? [] : [{ variable, suggestion }]
  })
}
