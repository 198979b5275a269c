import type { TObject } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import type { ResolvedSettings } from './aliases.ts'
import { SETTING_FORMATS, type Env, type Setting } from './schema.ts'

/** Compiles a schema once, and does not check the schema itself, which would double the time of a start. */
const ajv = new Ajv({
  allErrors: true,
  removeAdditional: true,
  useDefaults: true,
  coerceTypes: true,
  addUsedSchema: false,
  meta: false,
  validateSchema: false,
  // Optimizing takes longer than the one validation.
  code: { optimize: false },
  verbose: true,
  formats: SETTING_FORMATS,
  keywords: ['rule']
})

/**
 * Validates settings, and adds the defaults.
 *
 * @returns the values, or one sentence per problem, which names the variable as the operator wrote it
 */
export function validateEnv(
  schema: TObject,
  resolved: ResolvedSettings
): { values?: Env; problems: string[] } {
  const values = rejectNonDecimal(schema, resolved.values)
  if (ajv.validate<Env>(schema, values)) return { values, problems: [] }
  return {
    problems: (ajv.errors ?? []).flatMap(({ instancePath, parentSchema }) =>
      describeProblem(
        instancePath.slice(1) as Setting,
        (parentSchema as { rule?: string } | undefined)?.rule ?? '',
        resolved
      )
    )
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
