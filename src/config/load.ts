import type { Ajv } from 'ajv'
import envSchema from 'env-schema'
import { keySource, readKeys, type Keys } from '../vault/source.ts'
import {
  configError,
  configFrom,
  contradictions,
  keySettings,
  misspellings,
  SETTINGS,
  type Config
} from './config.ts'
import { resolve, type Resolved } from './aliases.ts'
import { Env, FORMATS, type Setting } from './schema.ts'

interface AjvError {
  instancePath: string
  parentSchema?: { rule?: string }
}

/** Everything that is read before anything is started. */
export interface Settings {
  config: Config
  keys: Keys
  /** The file that development has just made its key in. */
  madeKeyFile: string | null
}

/**
 * Reads the settings and the vault's keys.
 *
 * @throws StartError every problem at once, exit code 78; nothing has been made then
 */
export async function loadSettings(env: NodeJS.ProcessEnv): Promise<Settings> {
  const resolved = resolve(env, SETTINGS)
  const { values, problems } = judged(resolved)
  const given = await givenKeys(resolved)
  const found = new Set([...problems, ...contradictions(env, resolved), ...(given?.problems ?? [])])
  if (found.size > 0 || values === undefined) throw configError([...found])

  const config = configFrom(values, resolved)
  let madeKeyFile: string | null = null
  const { keys, problems: faults } =
    given ??
    (await readKeys(
      keySource(config, (file) => {
        madeKeyFile = file
      })
    ))
  if (keys === undefined) throw configError(faults)
  return { config, keys, madeKeyFile }
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
  const resolved = resolve(env, settings)
  const { values, problems } = judged(resolved)
  const found = [...problems, ...misspellings(env, settings)]
  if (found.length > 0 || values === undefined) throw configError(found)
  return configFrom(values, resolved)
}

function judged(resolved: Resolved): { values?: Env; problems: string[] } {
  try {
    return {
      values: envSchema<Env>({
        schema: Env,
        data: decimal(resolved.values),
        env: false,
        ajv: { customOptions: withFormats }
      }),
      problems: []
    }
  } catch (error) {
    const { errors } = error as { errors?: AjvError[] }
    if (errors === undefined) throw error
    return {
      problems: errors.flatMap(({ instancePath, parentSchema }) =>
        sentence(instancePath.slice(1) as Setting, parentSchema?.rule ?? '', resolved)
      )
    }
  }
}

/** The validator reads numbers as JavaScript does, `0x10` and `1e3` too; a setting has one spelling. */
function decimal(values: Resolved['values']): Record<string, string> {
  const odd = (name: string, value: string) =>
    Env.properties[name as keyof Env].type === 'integer' && !/^\d+$/.test(value)
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, odd(name, value) ? 'no number' : value])
  )
}

function withFormats(ajv: Ajv): Ajv {
  for (const [name, validate] of Object.entries(FORMATS)) ajv.addFormat(name, validate)
  ajv.addKeyword({ keyword: 'rule' })
  ajv.opts.verbose = true
  return ajv
}

/** Named as the operator wrote it, not as the setting whose stand-in it is. Keys are judged by themselves. */
function sentence(setting: Setting, rule: string, { sources }: Resolved): string[] {
  return setting === 'VAULT_KEYS' ? [] : [`${sources[setting] ?? setting} ${rule}.`]
}

/** Keys that were given are looked at before anything else is done; development's own are only made when all is well. */
async function givenKeys(
  resolved: Resolved
): Promise<Awaited<ReturnType<typeof readKeys>> | undefined> {
  const settings = keySettings(resolved)
  if (settings.vaultKeys === null && settings.vaultKeysFile === null) return undefined
  return await readKeys(keySource(settings, () => {}))
}
