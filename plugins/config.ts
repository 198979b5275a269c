import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import env, { type FastifyEnvOptions } from '@fastify/env'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { configError, configFrom, contradictions, secretsOf, SETTINGS, type Config } from '../src/config/config.ts'
import { resolve, type Resolved } from '../src/config/names.ts'
import { isDatabaseUrl } from '../src/config/formats.ts'
import { Env, FORMATS, type Setting } from '../src/config/schema.ts'
import type { Outside } from '../src/outside.ts'
import { missingEngine } from '../src/store/engine.ts'
import { developmentKey, parseKeyring, type Keyring } from '../src/vault/keyring.ts'

declare module 'fastify' {
  interface FastifyInstance {
    env: Env
    config: Config
    keyring: Keyring
  }
}

interface AjvError { instancePath: string, parentSchema?: { rule?: string } }

/** Beside the working directory's .env, ignored by git. */
const DEVELOPMENT_KEY_FILE = '.vault-keys.dev'

/**
 * Reads the settings (`app.config`) and the vault's keys (`app.keyring`).
 *
 * @throws StartError every problem at once, exit code 78
 */
export default fp<Outside>(async (app, outside) => {
  const resolved = resolve(outside.env, SETTINGS)
  const problems = new Set([...await invalid(app, resolved), ...contradictions(outside.env, resolved), ...unusable(resolved)])
  if (problems.size > 0) throw configError([...problems])

  const config = configFrom(app.env, resolved)
  app.log.level = config.logLevel
  app.decorate('config', config)
  for (const secret of secretsOf(config)) outside.hide(secret)
  if (config.modeAssumed) app.log.info({ event: 'mode_assumed' }, `APP_ENV is not set: development, listening on ${config.host}. Deployments set APP_ENV=production.`)
  for (const warning of config.warnings) app.log.warn({ event: 'setting_warning' }, warning)
  app.decorate('keyring', keyring(app, config, outside.hide))
}, { name: 'config' })

/** @fastify/env is called, not registered, so that its complaints can be reported together with ours. */
async function invalid (app: FastifyInstance, { values, sources }: Resolved): Promise<string[]> {
  const register = env as unknown as (app: FastifyInstance, options: FastifyEnvOptions, done: (error?: Error) => void) => void
  try {
    await promisify(register)(app, { confKey: 'env', schema: Env, data: decimal(values), env: false, ajv: { customOptions: withFormats } })
    return []
  } catch (error) {
    const { errors } = error as { errors?: AjvError[] }
    if (errors === undefined) throw error
    return errors.flatMap(({ instancePath, parentSchema }) => sentences(instancePath.slice(1) as Setting, parentSchema?.rule ?? '', { values, sources }))
  }
}

/** The validator reads numbers as JavaScript does, `0x10` and `1e3` too; a setting has one spelling. */
function decimal (values: Resolved['values']): Record<string, string> {
  const odd = (name: string, value: string) => Env.properties[name as keyof Env].type === 'integer' && !/^\d+$/.test(value)
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, odd(name, value) ? 'no number' : value]))
}

type Ajv = Parameters<NonNullable<Extract<NonNullable<FastifyEnvOptions['ajv']>, { customOptions: unknown }>['customOptions']>>[0]

function withFormats (ajv: Ajv): Ajv {
  for (const [name, validate] of Object.entries(FORMATS)) ajv.addFormat(name, validate)
  ajv.addKeyword({ keyword: 'rule' })
  ajv.opts.verbose = true
  return ajv
}

/** Named as the operator wrote it, not as the setting whose stand-in it is. */
function sentences (setting: Setting, rule: string, { values, sources }: Resolved): string[] {
  if (setting === 'VAULT_KEYS') return wrongKeys('VAULT_KEYS', values.VAULT_KEYS ?? '')
  return [`${sources[setting] ?? setting} ${rule}.`]
}

/** What is well-formed and still of no use: a database this version does not have, a key file that is none. */
function unusable ({ values }: Resolved): string[] {
  const url = values.INTEGRATION_DB_URL
  const engine = url === undefined || !isDatabaseUrl(url) ? undefined : missingEngine(url)
  return [
    ...(engine === undefined ? [] : [engine]),
    ...(values.VAULT_KEYS_FILE === undefined || values.VAULT_KEYS !== undefined ? [] : wrongKeyFile(values.VAULT_KEYS_FILE))
  ]
}

function wrongKeyFile (path: string): string[] {
  try {
    return wrongKeys('VAULT_KEYS_FILE', readFileSync(path, 'utf8'))
  } catch {
    return ['VAULT_KEYS_FILE names a file that cannot be read.']
  }
}

function wrongKeys (source: string, text: string): string[] {
  return (parseKeyring(text).problems ?? []).map((problem) => `${source}: ${problem}.`)
}

function keyring (app: FastifyInstance, { vaultKeys, vaultKeysFile }: Config, hide: (secret: string) => void): Keyring {
  const { text, source } = vaultKeys !== null
    ? { text: vaultKeys, source: 'VAULT_KEYS' }
    : vaultKeysFile !== null ? { text: readFileSync(vaultKeysFile, 'utf8'), source: 'VAULT_KEYS_FILE' } : madeForDevelopment(app)
  const { keyring } = parseKeyring(text)
  if (keyring === undefined) throw configError(wrongKeys(source, text))
  for (const entry of text.split(/[,\n]/)) hide(entry.slice(entry.indexOf(':') + 1).trim())
  return keyring
}

function madeForDevelopment (app: FastifyInstance): { text: string, source: string } {
  const { text, made } = developmentKey(DEVELOPMENT_KEY_FILE)
  if (made) app.log.warn({ event: 'development_key_made' }, `No VAULT_KEYS: made ${DEVELOPMENT_KEY_FILE} for development. Production needs a key of its own.`)
  return { text, source: DEVELOPMENT_KEY_FILE }
}
