import type { Ajv } from 'ajv'
import envSchema from 'env-schema'
import { resolveKeySource, loadKeys, type LoadedKeys } from '../vault/source.ts'
import {
  createConfigError,
  toConfig,
  findConflicts,
  selectKeySettings,
  describeTypos,
  SETTINGS,
  type Config
} from './config.ts'
import { resolveSettings, type ResolvedSettings } from './aliases.ts'
import { Env, SETTING_FORMATS, type Setting } from './schema.ts'

interface AjvError {
  instancePath: string
  parentSchema?: { rule?: string }
}

/** Everything that is read before anything is started. */
export interface LoadedSettings {
  config: Config
  keys: LoadedKeys
  /** The file that development has just made its key in. */
  createdKeyFile: string | null
}

/**
 * Reads the settings and the vault's keys.
 *
 * @throws StartError every problem at once, exit code 78; nothing has been made then
 */
export async function loadSettings(env: NodeJS.ProcessEnv): Promise<LoadedSettings> {
  const resolved = resolveSettings(env, SETTINGS)
  const { values, problems } = validateEnv(resolved)
  const configuredKeys = await readConfiguredKeys(resolved)
  const allProblems = new Set([
    ...problems,
    ...findConflicts(env, resolved),
    ...(configuredKeys?.problems ?? [])
  ])
  if (allProblems.size > 0 || values === undefined) throw createConfigError([...allProblems])

  const config = toConfig(values, resolved)
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
 * Reads only what says where the database is and how it is opened: whoever looks after it needs no keys.
 *
 * @throws StartError every problem at once, exit code 78
 */
export function loadDatabaseSettings(
  env: NodeJS.ProcessEnv
): Pick<Config, 'databaseUrl' | 'database'> {
  const settings = SETTINGS.filter((setting) => /^(INTEGRATION_DB_URL|DB_)/.test(setting))
  const resolved = resolveSettings(env, settings)
  const { values, problems } = validateEnv(resolved)
  const allProblems = [...problems, ...describeTypos(env, settings)]
  if (allProblems.length > 0 || values === undefined) throw createConfigError(allProblems)
  return toConfig(values, resolved)
}

function validateEnv(resolved: ResolvedSettings): { values?: Env; problems: string[] } {
  try {
    return {
      values: envSchema<Env>({
        schema: Env,
        data: rejectNonDecimal(resolved.values),
        env: false,
        ajv: { customOptions: addFormats }
      }),
      problems: []
    }
  } catch (error) {
    const { errors } = error as { errors?: AjvError[] }
    if (errors === undefined) throw error
    return {
      problems: errors.flatMap(({ instancePath, parentSchema }) =>
        formatSettingErrors(instancePath.slice(1) as Setting, parentSchema?.rule ?? '', resolved)
      )
    }
  }
}

/** The validator reads numbers as JavaScript does, `0x10` and `1e3` too; a setting has one spelling. */
function rejectNonDecimal(values: ResolvedSettings['values']): Record<string, string> {
  const isNonDecimal = (name: string, value: string) =>
    Env.properties[name as keyof Env].type === 'integer' && !/^\d+$/.test(value)
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      isNonDecimal(name, value) ? 'no number' : value
    ])
  )
}

function addFormats(ajv: Ajv): Ajv {
  for (const [name, validate] of Object.entries(SETTING_FORMATS)) ajv.addFormat(name, validate)
  ajv.addKeyword({ keyword: 'rule' })
  ajv.opts.verbose = true
  return ajv
}

/** Named as the operator wrote it, not as the setting whose stand-in it is. Keys are judged by themselves. */
function formatSettingErrors(
  setting: Setting,
  rule: string,
  { sources }: ResolvedSettings
): string[] {
  return setting === 'VAULT_KEYS' ? [] : [`${sources[setting] ?? setting} ${rule}.`]
}

/** Keys that were given are looked at before anything else is done; development's own are only made when all is well. */
async function readConfiguredKeys(
  resolved: ResolvedSettings
): Promise<Awaited<ReturnType<typeof loadKeys>> | undefined> {
  const settings = selectKeySettings(resolved)
  if (settings.vaultKeys === null && settings.vaultKeysFile === null) return undefined
  return await loadKeys(resolveKeySource(settings, () => {}))
}
