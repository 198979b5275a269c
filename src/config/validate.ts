import fastifyEnv from '@fastify/env'
import type { FastifyInstance } from 'fastify'
import type { TObject } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import type { ResolvedSettings } from './aliases.ts'
import { SETTING_FORMATS, type Env, type Setting } from './schema.ts'

interface AjvError {
  instancePath: string
  parentSchema?: { rule?: string }
}

/**
 * Uses the options of @fastify/env's own validator and the formats of this schema. Compiles a
 * schema once.
 */
const ajv = new Ajv({
  allErrors: true,
  removeAdditional: true,
  useDefaults: true,
  coerceTypes: true,
  addUsedSchema: false,
  verbose: true,
  formats: SETTING_FORMATS,
  keywords: ['rule']
})

/**
 * Validates settings with @fastify/env, and adds the defaults.
 *
 * @param app the service; in a command, an instance that never listens
 * @returns the values, or one sentence per problem, which names the variable as the operator wrote it
 */
export async function validateEnv(
  app: FastifyInstance,
  schema: TObject,
  resolved: ResolvedSettings
): Promise<{ values?: Env; problems: string[] }> {
  try {
    await app.register(fastifyEnv, {
      confKey: 'env',
      schema,
      data: rejectNonDecimal(schema, resolved.values),
      env: false,
      ajv
    })
    return { values: app.getEnvs<Env>(), problems: [] }
  } catch (error) {
    const { errors } = error as { errors?: AjvError[] }
    if (errors === undefined) throw error
    return {
      problems: errors.flatMap(({ instancePath, parentSchema }) =>
        describeProblem(instancePath.slice(1) as Setting, parentSchema?.rule ?? '', resolved)
      )
    }
  }
}

/** Ajv converts numbers as JavaScript does, also `0x10` and `1e3`; settings are decimal. */
function rejectNonDecimal(
  { properties }: TObject,
  values: ResolvedSettings['values']
): Record<string, unknown> {
  const isNonDecimal = (name: string, value = '') =>
    properties[name]?.type === 'integer' && !/^\d+$/.test(value)
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      isNonDecimal(name, value) ? 'no number' : value
    ])
  )
}

/** The loader of the keys describes its problems itself. */
function describeProblem(setting: Setting, rule: string, { sources }: ResolvedSettings): string[] {
  return setting === 'VAULT_KEYS' ? [] : [`${sources[setting] ?? setting} ${rule}.`]
}
