import { builtInProviders } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { loadKeys, resolveKeySource, type LoadedKeys } from '../vault/source.ts'
import { resolveSettings, type ResolvedSettings } from './aliases.ts'
import { findClientWarnings } from './client-problems.ts'
import { createConfigError, selectKeySettings, toConfig, type Config } from './config.ts'
import { describeTypos, findConflicts, findRelativeDatabase } from './conflicts.ts'
import { findInsecurities } from './insecure.ts'
import { createEnvSchema, listSettings } from './schema.ts'
import { validateEnv } from './validate.ts'

export interface LoadOptions {
  providers?: readonly Provider[]
}

/** Everything that is read before anything starts. */
export interface LoadedSettings {
  config: Config
  keys: LoadedKeys
  /** The file of the key that development has just created. */
  createdKeyFile: string | null
}

/**
 * Loads the settings and the vault's keys.
 *
 * @throws StartError with every problem, exit code 78; nothing has been created then
 */
export async function loadSettings(
  env: NodeJS.ProcessEnv,
  { providers = builtInProviders }: LoadOptions = {}
): Promise<LoadedSettings> {
  const schema = createEnvSchema(providers)
  const settings = listSettings(schema)
  const resolved = resolveSettings(env, settings, providers)
  const { values, problems } = validateEnv(schema, resolved)
  const configuredKeys = await loadConfiguredKeys(resolved)
  const insecurities = findInsecurities(resolved, providers)
  const typos = describeTypos(env, settings, providers)
  const allProblems = new Set([
    ...problems,
    ...resolved.problems,
    ...findConflicts(resolved),
    ...insecurities.problems,
    ...(configuredKeys?.problems ?? [])
  ])
  // A variable of another program may look like a misspelt setting, so that alone stops no start.
  if (allProblems.size > 0 || values === undefined) {
    throw createConfigError([...allProblems, ...typos])
  }

  const config = toConfig(values, resolved, providers)
  config.warnings.push(
    ...insecurities.warnings,
    ...findClientWarnings(resolved, providers),
    ...typos
  )
  let createdKeyFile: string | null = null
  const { keys, problems: keyProblems } =
    configuredKeys ??
    (await loadKeys(
      resolveKeySource(config, (file) => {
        createdKeyFile = file
      })
    ))
  if (keys === undefined) throw createConfigError(keyProblems)
  return { config, keys, createdKeyFile }
}

/**
 * Loads the settings of the database only, for commands that need no keys.
 *
 * @throws StartError with every problem, exit code 78
 */
export async function loadDatabaseSettings(
  env: NodeJS.ProcessEnv
): Promise<Pick<Config, 'databaseUrl' | 'database'>> {
  return (await loadSomeSettings(env, /^(INTEGRATION_DB_URL|DB_|APP_ENV|DEV_MODE)/)).config
}

/**
 * Loads the settings of the database and the vault's keys, for commands that sign what they write.
 *
 * @throws StartError with every problem, exit code 78
 */
export async function loadStoreSettings(
  env: NodeJS.ProcessEnv
): Promise<Pick<Config, 'databaseUrl' | 'database'> & { keys: LoadedKeys }> {
  const { config, resolved } = await loadSomeSettings(
    env,
    /^(INTEGRATION_DB_URL|DB_|VAULT_KEYS|APP_ENV|DEV_MODE)/
  )
  const conflicts = findConflicts(resolved)
  if (conflicts.length > 0) throw createConfigError(conflicts)
  const { keys, problems } = await loadKeys(resolveKeySource(config, () => {}))
  if (keys === undefined) throw createConfigError(problems)
  return { databaseUrl: config.databaseUrl, database: config.database, keys }
}

async function loadSomeSettings(
  env: NodeJS.ProcessEnv,
  names: RegExp
): Promise<{ config: Config; resolved: ResolvedSettings }> {
  const schema = createEnvSchema(builtInProviders)
  const settings = listSettings(schema).filter((name) => names.test(name))
  const resolved = resolveSettings(env, settings, builtInProviders)
  const { values, problems } = validateEnv(schema, resolved)
  const typos = describeTypos(env, settings, builtInProviders)
  // With a misspelt INTEGRATION_DB_URL, a command would work on the default database.
  const isTypoFatal = resolved.sources.INTEGRATION_DB_URL === undefined
  const allProblems = [
    ...problems,
    ...resolved.problems,
    ...findRelativeDatabase(resolved),
    ...(isTypoFatal ? typos : [])
  ]
  if (allProblems.length > 0 || values === undefined) throw createConfigError(allProblems)
  for (const typo of isTypoFatal ? [] : typos) console.error(typo)
  return { config: toConfig(values, resolved, builtInProviders), resolved }
}

/**
 * Loads the keys that the settings name.
 *
 * @returns undefined if they name none: `loadSettings` then creates the development key, once all
 *   settings have proved valid
 */
async function loadConfiguredKeys(
  resolved: ResolvedSettings
): Promise<Awaited<ReturnType<typeof loadKeys>> | undefined> {
  const settings = selectKeySettings(resolved)
  if (settings.vaultKeys === null && settings.vaultKeysFile === null) return undefined
  return await loadKeys(resolveKeySource(settings, () => {}))
}
