import { isAbsolute } from 'node:path'
import type { Provider } from '../providers/provider.ts'
import { findTypos, type ResolvedSettings } from './aliases.ts'
import { isProduction, isTrue } from './mode.ts'
import type { Setting } from './schema.ts'

const JWT_CLAIM_SETTINGS = ['JWT_ISSUER', 'JWT_AUDIENCE'] as const
const JWT_KEY_SETTINGS = ['JWT_JWKS_URL', 'JWT_PUBLIC_KEY'] as const
const MISSING_KEYS_MESSAGE =
  'VAULT_KEYS or VAULT_KEYS_FILE is required in production ' +
  '(a key is an id, a colon and 32 random bytes in base64, as from openssl rand -base64 32).'

/**
 * Finds settings that contradict or require each other, which a schema cannot say.
 *
 * @returns one sentence per problem, which names the variables
 */
export function findConflicts(resolved: ResolvedSettings): string[] {
  const { values } = resolved
  const production = isProduction(values)
  return [
    ...(values.APP_ENV === 'production' && isTrue(values.DEV_MODE)
      ? ['APP_ENV=production and DEV_MODE=true contradict each other; remove one.']
      : []),
    ...(production && values.VAULT_KEYS === undefined && values.VAULT_KEYS_FILE === undefined
      ? [MISSING_KEYS_MESSAGE]
      : []),
    ...(values.VAULT_KEYS !== undefined && values.VAULT_KEYS_FILE !== undefined
      ? ['VAULT_KEYS and VAULT_KEYS_FILE are both set; keep one.']
      : []),
    ...(isTrue(values.AUDIT_ANCHOR_BLOCKING) && !/^https?:/.test(values.AUDIT_ANCHOR_URL ?? '')
      ? [
          'AUDIT_ANCHOR_BLOCKING requires an https address in AUDIT_ANCHOR_URL: syslog confirms nothing.'
        ]
      : []),
    ...findRelativeDatabase(resolved),
    ...findJwtConflicts(values)
  ]
}

/** A start in another folder, by a service manager or a command, would make a second, empty database. */
export function findRelativeDatabase({ values, sources }: ResolvedSettings): string[] {
  const url = values.INTEGRATION_DB_URL
  const isUnset = sources.INTEGRATION_DB_URL === undefined
  const isRelative =
    url?.startsWith('sqlite:///') === true && !isAbsolute(url.slice('sqlite:///'.length))
  if (!isProduction(values) || !(isUnset || isRelative)) return []
  const problem = isUnset ? 'is not set' : 'is a path relative to the working directory'
  return [
    `${sources.INTEGRATION_DB_URL ?? 'INTEGRATION_DB_URL'} ${problem}; production requires an absolute ` +
      'path (four slashes), such as sqlite:////var/lib/connector/integration.db, or a postgres:// address.'
  ]
}

/** A JWT is verified with its issuer, its audience and one source of keys. */
function findJwtConflicts(values: ResolvedSettings['values']): string[] {
  const isSet = (name: Setting) => values[name] !== undefined
  const keySources = JWT_KEY_SETTINGS.filter(isSet)
  const configured = [...JWT_CLAIM_SETTINGS, ...JWT_KEY_SETTINGS].filter(isSet)
  if (configured.length === 0) return []
  const requiredBy = `${configured.join(' and ')} ${configured.length === 1 ? 'requires' : 'require'}`
  return [
    ...JWT_CLAIM_SETTINGS.filter((name) => !isSet(name)).map(
      (name) => `${name} is missing; ${requiredBy} it.`
    ),
    ...(keySources.length === 0
      ? [`JWT_JWKS_URL or JWT_PUBLIC_KEY is missing; ${requiredBy} one of them.`]
      : []),
    ...(keySources.length === 2 ? ['JWT_JWKS_URL and JWT_PUBLIC_KEY are both set; keep one.'] : [])
  ]
}

/** One sentence per variable that looks like a misspelling of one of `settings`. */
export function describeTypos(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[],
  providers: readonly Provider[]
): string[] {
  return findTypos(env, settings, providers).map(
    ({ variable, suggestion }) =>
      `${variable} is not a setting of this service; did you mean ${suggestion}?`
  )
}
