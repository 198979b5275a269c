import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import env, { type FastifyEnvOptions } from '@fastify/env'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { configError, configFrom, contradictions, secretsOf, SETTINGS, type Config } from '../src/config/config.ts'
import { resolve, type Resolved } from '../src/config/names.ts'
import { Env, FORMATS } from '../src/config/schema.ts'
import type { Outside } from '../src/outside.ts'
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
  const problems = [...await invalid(app, resolved), ...contradictions(outside.env, resolved)]
  if (problems.length > 0) throw configError(problems)

  const config = configFrom(app.env, resolved)
  app.log.level = config.logLevel
  app.decorate('config', config)
  for (const secret of secretsOf(config)) outside.hide(secret)
  if (config.modeAssumed) app.log.info({ event: 'mode_assumed' }, 'APP_ENV is not set: development, listening on loopback only. Deployments set APP_ENV=production.')
  for (const warning of config.warnings) app.log.warn({ event: 'setting_warning' }, warning)
  app.decorate('keyring', keyring(app, config, outside.hide))
}, { name: 'config' })

/** @fastify/env is called, not registered, so that its complaints can be reported together with ours. */
async function invalid (app: FastifyInstance, { values }: Resolved): Promise<string[]> {
  const register = env as unknown as (app: FastifyInstance, options: FastifyEnvOptions, done: (error?: Error) => void) => void
  try {
    await promisify(register)(app, { confKey: 'env', schema: Env, data: decimal(values), env: false, ajv: { customOptions: withFormats } })
    return []
  } catch (error) {
    const { errors } = error as { errors?: AjvError[] }
    if (errors === undefined) throw error
    return errors.flatMap(({ instancePath, parentSchema }) => sentences(instancePath.slice(1), parentSchema?.rule ?? '', values))
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

function sentences (setting: string, rule: string, values: Resolved['values']): string[] {
  if (setting === 'VAULT_KEYS') return (parseKeyring(values.VAULT_KEYS ?? '').problems ?? []).map((problem) => `VAULT_KEYS: ${problem}.`)
  return [`${setting} ${rule}.`]
}

function keyring (app: FastifyInstance, { production, vaultKeys, vaultKeysFile }: Config, hide: (secret: string) => void): Keyring {
  const { text, source } = vaultKeys !== null
    ? { text: vaultKeys, source: 'VAULT_KEYS' }
    : vaultKeysFile !== null || production ? fromFile(vaultKeysFile ?? '') : madeForDevelopment(app)
  const { keyring, problems } = parseKeyring(text)
  if (problems !== undefined) throw configError(problems.map((problem) => `${source}: ${problem}.`))
  for (const entry of text.split(/[,\n]/)) hide(entry.slice(entry.indexOf(':') + 1).trim())
  return keyring
}

function fromFile (path: string): { text: string, source: string } {
  try {
    return { text: readFileSync(path, 'utf8'), source: 'VAULT_KEYS_FILE' }
  } catch {
    throw configError(['VAULT_KEYS_FILE names a file that cannot be read.'])
  }
}

function madeForDevelopment (app: FastifyInstance): { text: string, source: string } {
  const { text, made } = developmentKey(DEVELOPMENT_KEY_FILE)
  if (made) app.log.warn({ event: 'development_key_made' }, `No VAULT_KEYS: made ${DEVELOPMENT_KEY_FILE} for development. Production needs a key of its own.`)
  return { text, source: DEVELOPMENT_KEY_FILE }
}
