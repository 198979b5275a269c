import { distance } from 'fastest-levenshtein'
import type { Setting } from './schema.ts'

const NEXT_PUBLIC_PREFIX = 'NEXT_PUBLIC_'
/** `JIRA_OAUTH_CLIENT_ID`, `JIRA_CLIENT_ID`, …: the spellings one product's value may have of its own. */
const ownNames = (product: string, field: string) => [
  `${product}_OAUTH_${field}`,
  `${product}_${field}`
]
const ownPublicNames = (product: string, field: string) => [
  `${NEXT_PUBLIC_PREFIX}${product}_OAUTH_${field}`,
  `${NEXT_PUBLIC_PREFIX}${product}_${field}`
]

const JIRA_NAMES = {
  CLIENT_ID: [
    ...ownNames('JIRA', 'CLIENT_ID'),
    'ATLASSIAN_CLIENT_ID',
    ...ownPublicNames('JIRA', 'CLIENT_ID'),
    `${NEXT_PUBLIC_PREFIX}ATLASSIAN_CLIENT_ID`
  ],
  CLIENT_SECRET: [
    ...ownNames('JIRA', 'CLIENT_SECRET'),
    'ATLASSIAN_CLIENT_SECRET',
    `${NEXT_PUBLIC_PREFIX}JIRA_OAUTH_CLIENT_SECRET`,
    `${NEXT_PUBLIC_PREFIX}ATLASSIAN_CLIENT_SECRET`
  ],
  REDIRECT_URI: [
    ...ownNames('JIRA', 'REDIRECT_URI'),
    'ATLASSIAN_REDIRECT_URI',
    ...ownPublicNames('JIRA', 'REDIRECT_URI'),
    `${NEXT_PUBLIC_PREFIX}ATLASSIAN_REDIRECT_URI`
  ]
}
const confluenceNames = (field: string) => [
  ...ownNames('CONFLUENCE', field),
  ...ownPublicNames('CONFLUENCE', field)
]

/**
 * The names a setting may have, in order: the first one that is not empty wins
 * (docs/reference/contract.md#2-settings).
 */
export const ALIASES: Partial<Record<Setting, readonly string[]>> = {
  JIRA_OAUTH_CLIENT_ID: JIRA_NAMES.CLIENT_ID,
  JIRA_OAUTH_CLIENT_SECRET: JIRA_NAMES.CLIENT_SECRET,
  JIRA_OAUTH_REDIRECT_URI: JIRA_NAMES.REDIRECT_URI,
  CONFLUENCE_OAUTH_CLIENT_ID: [...confluenceNames('CLIENT_ID'), ...JIRA_NAMES.CLIENT_ID],
  CONFLUENCE_OAUTH_CLIENT_SECRET: [
    ...confluenceNames('CLIENT_SECRET').filter(
      (name) => name !== `${NEXT_PUBLIC_PREFIX}CONFLUENCE_CLIENT_SECRET`
    ),
    ...JIRA_NAMES.CLIENT_SECRET
  ],
  CONFLUENCE_OAUTH_REDIRECT_URI: [...confluenceNames('REDIRECT_URI'), ...JIRA_NAMES.REDIRECT_URI],
  APP_FRONTEND_URL: [
    'APP_FRONTEND_URL',
    `${NEXT_PUBLIC_PREFIX}APP_FRONTEND_URL`,
    `${NEXT_PUBLIC_PREFIX}FRONTEND_BASE_URL`
  ],
  ATLASSIAN_CLOUD_BASE_URL: [
    'ATLASSIAN_CLOUD_BASE_URL',
    `${NEXT_PUBLIC_PREFIX}ATLASSIAN_CLOUD_BASE_URL`
  ],
  PUBLIC_URL: ['PUBLIC_URL', 'PUBLIC_BASE_URL']
}

/** Jira's own callback cannot serve Confluence: a code that arrives there belongs to a Jira flow. */
const JIRA_CALLBACK = /\/auth\/jira\/callback\/?$/

export interface ResolvedSettings {
  values: Partial<Record<Setting, string>>
  /** The variable each value came from. */
  sources: Partial<Record<Setting, string>>
}

/** Picks each setting's value from the environment: trimmed, the first non-empty name of its list. */
export function resolveSettings(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[]
): ResolvedSettings {
  const values: ResolvedSettings['values'] = {}
  const sources: ResolvedSettings['sources'] = {}
  for (const setting of settings) {
    const source = (ALIASES[setting] ?? [setting]).find((name) =>
      isUsable(setting, name, env[name]?.trim() ?? '')
    )
    if (source === undefined) continue
    values[setting] = env[source]?.trim() ?? ''
    sources[setting] = source
  }
  return { values, sources }
}

function isUsable(setting: Setting, name: string, value: string): boolean {
  const isJiraFallback = setting === 'CONFLUENCE_OAUTH_REDIRECT_URI' && !name.includes('CONFLUENCE')
  return value !== '' && !(isJiraFallback && JIRA_CALLBACK.test(URL.parse(value)?.pathname ?? ''))
}

/** Variables that look like a slip of the pen for one of ours: a setting that silently does nothing is a trap. */
export function findTypos(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[]
): Array<{ variable: string; suggestion: string }> {
  const known = new Set([...settings, ...Object.values(ALIASES).flat()])
  return Object.keys(env).flatMap((variable) => {
    if (variable.length < 8 || known.has(variable) || env[variable]?.trim() === '') return []
    const suggestion = [...known].find(
      (name) => env[name] === undefined && distance(variable, name) <= 2
    )
    return suggestion === undefined ? [] : [{ variable, suggestion }]
  })
}
