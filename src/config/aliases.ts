import { distance } from 'fastest-levenshtein'
import type { Provider } from '../providers/provider.ts'
import { isUsableRedirectUri, listClientVariables } from './client-settings.ts'
import type { Setting } from './schema.ts'
import { getFileVariable, readSecretFile, type SecretFile } from './secret-files.ts'

const MIN_NAME_LENGTH = 8
const MAX_TYPO_DISTANCE = 2
const SECRET_VARIABLES = [
  'VAULT_KEYS',
  'BOOTSTRAP_API_KEY',
  'AUDIT_ANCHOR_TOKEN',
  'INTEGRATION_DB_URL',
  'HTTPS_PROXY',
  'https_proxy'
] as const
/** Variables of other programs that differ from a setting by a letter. */
const FOREIGN_VARIABLES = ['HTTP_PROXY', 'http_proxy', 'FTP_PROXY', 'ftp_proxy']
const SERVICE_VARIABLES: ReadonlyArray<[Setting, readonly string[]]> = [
  [
    'APP_FRONTEND_URL',
    ['APP_FRONTEND_URL', 'NEXT_PUBLIC_APP_FRONTEND_URL', 'NEXT_PUBLIC_FRONTEND_BASE_URL']
  ],
  [
    'ATLASSIAN_CLOUD_BASE_URL',
    ['ATLASSIAN_CLOUD_BASE_URL', 'NEXT_PUBLIC_ATLASSIAN_CLOUD_BASE_URL']
  ],
  ['PUBLIC_URL', ['PUBLIC_URL', 'PUBLIC_BASE_URL']],
  // Where both are set, the lower-case name wins, as in curl.
  ['HTTPS_PROXY', ['https_proxy', 'HTTPS_PROXY']],
  ['NO_PROXY', ['no_proxy', 'NO_PROXY']]
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
  /** The files that variables ending in `_FILE` name. */
  files: SecretFile[]
  /** One sentence for each unusable file, and for each value that is given twice. */
  problems: string[]
}

/**
 * Picks the value of each setting from the environment: the first variable that is not empty, trimmed
 * (docs/reference/contract.md#2-settings). A secret variable `X` may be given as `X_FILE` instead, the
 * name of a file with the value.
 */
export function resolveSettings(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[],
  providers: readonly Provider[]
): ResolvedSettings {
  const aliases = listAliases(providers)
  const secretVariables = listSecretVariables(providers)
  const resolved: ResolvedSettings = { values: {}, sources: {}, files: [], problems: [] }
  const read = (variable: string) => env[variable]?.trim() ?? ''
  for (const setting of settings) {
    const provider = providers.find(
      ({ settings: { prefix } }) => setting === `${prefix}_OAUTH_REDIRECT_URI`
    )
    for (const variable of aliases.get(setting) ?? [setting]) {
      const value = read(variable)
      const fileVariable = getFileVariable(variable, secretVariables)
      const path = fileVariable === undefined ? '' : read(fileVariable)
      if (fileVariable !== undefined && path !== '') {
        addFile(resolved, setting, { variable: fileVariable, path })
        if (value !== '') {
          resolved.problems.push(`${variable} and ${fileVariable} are both set; keep one.`)
        }
        break
      }
      if (value === '' || (provider && !isUsableRedirectUri(provider, variable, value))) continue
      resolved.values[setting] = value
      resolved.sources[setting] = variable
      break
    }
  }
  return resolved
}

/** A setting whose file is unusable has a source and no value: no other variable stands in for it. */
function addFile(resolved: ResolvedSettings, setting: Setting, file: SecretFile): void {
  const { value, problem } = readSecretFile(file)
  resolved.sources[setting] = file.variable
  resolved.files.push(file)
  if (value !== undefined) resolved.values[setting] = value
  if (problem !== undefined) resolved.problems.push(problem)
}

/** Finds variables that look like a misspelt setting, which would have no effect. */
export function findTypos(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[],
  providers: readonly Provider[]
): Array<{ variable: string; suggestion: string }> {
  const secretVariables = listSecretVariables(providers)
  const variables = [...settings, ...[...listAliases(providers).values()].flat()]
  const known = new Set([
    ...variables,
    ...variables
      .map((variable) => getFileVariable(variable, secretVariables))
      .filter((variable) => variable !== undefined)
  ])
  return Object.keys(env).flatMap((variable) => {
    const isIgnored = variable.length < MIN_NAME_LENGTH || FOREIGN_VARIABLES.includes(variable)
    if (isIgnored || known.has(variable) || env[variable]?.trim() === '') return []
    const suggestion = [...known].find(
      (name) => env[name] === undefined && distance(variable, name) <= MAX_TYPO_DISTANCE
    )
    return suggestion === undefined ? [] : [{ variable, suggestion }]
  })
}
