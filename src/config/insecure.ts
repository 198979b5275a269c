import module from 'node:module'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseEnv } from 'node:util'
import { findFileProblem, findFolderProblem } from '../lib/file-trust.ts'
import { resolveFromRoot } from '../lib/root-folder.ts'
import type { Provider } from '../providers/provider.ts'
import { listSecretVariables, type ResolvedSettings } from './aliases.ts'
import { isLoopback, splitList, type Allowance } from './formats.ts'
import { isProduction } from './mode.ts'
import type { Setting } from './schema.ts'
import type { SecretFile } from './secret-files.ts'

/** An insecure setting or file. */
interface Finding {
  /** The word that permits it; null if it is only reported. */
  allowance: Allowance | null
  /** One sentence, which never contains a value. */
  text: string
}

const HTTP_SETTINGS: Array<[Setting, Allowance]> = [
  ['ATLASSIAN_AUTH_URL', 'http_atlassian'],
  ['ATLASSIAN_API_URL', 'http_atlassian'],
  ['APP_FRONTEND_URL', 'http_frontend'],
  ['PUBLIC_URL', 'http_public']
]
const LIMITS = [
  'RATE_LIMIT',
  'RATE_LIMIT_LOGIN',
  'RATE_LIMIT_REFUSED',
  'OVERLOAD_AFTER_MS'
] as const
const DEFAULT_DATABASE_PATH = './integration.db'
const ENV_FILE = '.env'
const URL_VARIABLES = ['INTEGRATION_DB_URL', 'HTTPS_PROXY', 'https_proxy']

/** Whether the settings name an app of the Atlassian developer console. */
export function hasAtlassianApp({ values }: ResolvedSettings): boolean {
  return Object.entries(values).some(
    ([name, value]) => name.endsWith('_OAUTH_CLIENT_SECRET') && value !== ''
  )
}

/**
 * Finds insecure settings and files. Production refuses each one unless ALLOW_INSECURE permits it;
 * development reports files that every user of the machine can change.
 *
 * @returns one sentence for each
 */
export function findInsecurities(
  resolved: ResolvedSettings,
  providers: readonly Provider[]
): { problems: string[]; warnings: string[] } {
  const allowed = splitList(resolved.values.ALLOW_INSECURE ?? '')
  const findings = isProduction(resolved.values)
    ? [
        ...findOpenOrigins(resolved),
        ...findHttpUrls(resolved),
        ...findMissingLimits(resolved),
        ...findUnsafeFiles(resolved, providers),
        ...findSecretsBesideDatabase(resolved, providers)
      ]
    : [
        ...(hasAtlassianApp(resolved) ? findOpenOrigins(resolved) : []),
        ...findUnsafeFiles(resolved, providers)
          .filter(({ allowance }) => allowance !== null)
          .map(({ text }) => ({ text, allowance: null }))
      ]
  const isRefused = ({ allowance }: Finding) => allowance !== null && !allowed.includes(allowance)
  return {
    problems: findings
      .filter(isRefused)
      .map(({ text, allowance }) => `${text} ALLOW_INSECURE=${allowance} permits it.`),
    warnings: findings
      .filter((finding) => !isRefused(finding))
      .map(({ text, allowance }) =>
        allowance === null ? text : `${text} ALLOW_INSECURE permits it (${allowance}).`
      )
  }
}

function findOpenOrigins({ values }: ResolvedSettings): Finding[] {
  return values.BACKEND_CORS_ORIGINS === '*'
    ? [
        {
          allowance: 'any_origin',
          text: 'BACKEND_CORS_ORIGINS=* lets the scripts of every web site call this service; list origins.'
        }
      ]
    : []
}

/** http to this machine itself crosses no network. */
function findHttpUrls({ values, sources }: ResolvedSettings): Finding[] {
  return HTTP_SETTINGS.flatMap(([setting, allowance]): Finding[] => {
    const url = URL.parse(values[setting] ?? '')
    if (url?.protocol !== 'http:') return []
    const name = sources[setting] ?? setting
    return isLoopback(url.hostname)
      ? [{ allowance: null, text: `${name} is an http address of this machine.` }]
      : [
          {
            allowance,
            text: `${name} is an http address: tokens, codes and data cross the network unencrypted.`
          }
        ]
  })
}

function findMissingLimits({ values }: ResolvedSettings): Finding[] {
  return LIMITS.every((name) => /^0+$/.test(values[name] ?? ''))
    ? [{ allowance: 'no_limits', text: `${LIMITS.join(', ')} are all 0: nothing limits a caller.` }]
    : []
}

/** Files that other users of this machine can read or change, of those that the service uses. */
function findUnsafeFiles(
  { values, files }: ResolvedSettings,
  providers: readonly Provider[]
): Finding[] {
  const findings: Finding[] = []
  const checkFolder = (name: string, path: string, isRead = false) => {
    const problem = findFolderProblem(path, isRead)
    if (problem === undefined) return
    findings.push({
      allowance: problem.isOpenToAll ? 'shared_folders' : null,
      text: `The folder of ${name} ${problem.text}.`
    })
  }
  const checkFile = (name: string, path: string, isSecret: boolean) => {
    const problem = findFileProblem(path, isSecret)
    if (problem === undefined) return
    findings.push({
      allowance: problem.isOpenToAll ? (isSecret ? 'readable_keys' : 'shared_folders') : null,
      text: `The file of ${name} ${problem.text}.`
    })
  }

  checkFolder('the program', resolveFromRoot('.'))
  const compileCache = module.getCompileCacheDir()
  if (compileCache !== undefined) checkFolder("Node's compile cache", compileCache)
  if (existsSync(ENV_FILE)) {
    checkFolder(ENV_FILE, '.')
    checkFile(ENV_FILE, ENV_FILE, hasSecrets(ENV_FILE, providers))
  }
  const databaseFile = findDatabaseFile(values.INTEGRATION_DB_URL)
  if (databaseFile !== undefined) {
    checkFolder('the database', dirname(databaseFile))
    for (const suffix of ['', '-wal', '-shm']) {
      checkFile('the database', `${databaseFile}${suffix}`, false)
    }
  }
  for (const { variable, path } of [...listKeyFiles(values), ...files]) {
    checkFolder(variable, dirname(path), true)
    checkFile(variable, path, true)
  }
  return findings
}

function listKeyFiles(values: ResolvedSettings['values']): SecretFile[] {
  return values.VAULT_KEYS === undefined && values.VAULT_KEYS_FILE !== undefined
    ? [{ variable: 'VAULT_KEYS_FILE', path: values.VAULT_KEYS_FILE }]
    : []
}

/** A copy of the database's folder would contain the secrets that protect the database. */
function findSecretsBesideDatabase(
  { values }: ResolvedSettings,
  providers: readonly Provider[]
): Finding[] {
  const databaseFile = findDatabaseFile(values.INTEGRATION_DB_URL)
  if (databaseFile === undefined) return []
  const isBeside = (path: string) =>
    existsSync(path) && resolveFolder(path) === resolveFolder(databaseFile)
  return [
    ...(isBeside(ENV_FILE) && hasSecrets(ENV_FILE, providers)
      ? [
          {
            allowance: 'env_beside_database' as const,
            text:
              '.env holds secrets and lies in the folder of the database: ' +
              'a copy of that folder contains both. Move the database to a folder of its own.'
          }
        ]
      : []),
    ...listKeyFiles(values)
      .filter(({ path }) => isBeside(path))
      .map(({ variable }) => ({
        allowance: null,
        text:
          `The file of ${variable} lies in the folder of the database: ` +
          'a copy of that folder contains both.'
      }))
  ]
}

/** The folder of a file, without symbolic links. */
function resolveFolder(path: string): string | undefined {
  try {
    return realpathSync(dirname(path))
  } catch {
    return undefined
  }
}

/** @returns undefined for a database in memory or on a server */
function findDatabaseFile(url: string | undefined): string | undefined {
  if (url === undefined) return DEFAULT_DATABASE_PATH
  return url.startsWith('sqlite:///') ? url.slice('sqlite:///'.length) : undefined
}

function hasSecrets(path: string, providers: readonly Provider[]): boolean {
  try {
    const variables = parseEnv(readFileSync(path, 'utf8'))
    return listSecretVariables(providers).some((name) => {
      const value = variables[name] ?? ''
      // An address without credentials is no secret.
      return URL_VARIABLES.includes(name) ? value.includes('@') : value !== ''
    })
  } catch {
    return false
  }
}
