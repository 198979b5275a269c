import { distance } from 'fastest-levenshtein'
import type { Setting } from './schema.ts'

const NEXT = 'NEXT_PUBLIC_'
/** `JIRA_OAUTH_CLIENT_ID`, `JIRA_CLIENT_ID`, …: the spellings one product's value may have of its own. */
const own = (product: string, what: string) => [`${product}_OAUTH_${what}`, `${product}_${what}`]
const ownPublic = (product: string, what: string) => [
  `${NEXT}${product}_OAUTH_${what}`,
  `${NEXT}${product}_${what}`
]

const jira = {
  CLIENT_ID: [
    ...own('JIRA', 'CLIENT_ID'),
    'ATLASSIAN_CLIENT_ID',
    ...ownPublic('JIRA', 'CLIENT_ID'),
    `${NEXT}ATLASSIAN_CLIENT_ID`
  ],
  CLIENT_SECRET: [
    ...own('JIRA', 'CLIENT_SECRET'),
    'ATLASSIAN_CLIENT_SECRET',
    `${NEXT}JIRA_OAUTH_CLIENT_SECRET`,
    `${NEXT}ATLASSIAN_CLIENT_SECRET`
  ],
  REDIRECT_URI: [
    ...own('JIRA', 'REDIRECT_URI'),
    'ATLASSIAN_REDIRECT_URI',
    ...ownPublic('JIRA', 'REDIRECT_URI'),
    `${NEXT}ATLASSIAN_REDIRECT_URI`
  ]
}
const confluence = (what: string) => [...own('CONFLUENCE', what), ...ownPublic('CONFLUENCE', what)]

/** The names a setting may have, in order: the first one that is not empty wins (contract.md section 2). */
export const NAMES: Partial<Record<Setting, readonly string[]>> = {
  JIRA_OAUTH_CLIENT_ID: jira.CLIENT_ID,
  JIRA_OAUTH_CLIENT_SECRET: jira.CLIENT_SECRET,
  JIRA_OAUTH_REDIRECT_URI: jira.REDIRECT_URI,
  CONFLUENCE_OAUTH_CLIENT_ID: [...confluence('CLIENT_ID'), ...jira.CLIENT_ID],
  CONFLUENCE_OAUTH_CLIENT_SECRET: [
    ...confluence('CLIENT_SECRET').filter((name) => name !== `${NEXT}CONFLUENCE_CLIENT_SECRET`),
    ...jira.CLIENT_SECRET
  ],
  CONFLUENCE_OAUTH_REDIRECT_URI: [...confluence('REDIRECT_URI'), ...jira.REDIRECT_URI],
  APP_FRONTEND_URL: ['APP_FRONTEND_URL', `${NEXT}APP_FRONTEND_URL`, `${NEXT}FRONTEND_BASE_URL`],
  ATLASSIAN_CLOUD_BASE_URL: ['ATLASSIAN_CLOUD_BASE_URL', `${NEXT}ATLASSIAN_CLOUD_BASE_URL`],
  PUBLIC_URL: ['PUBLIC_URL', 'PUBLIC_BASE_URL']
}

/** Jira's own callback cannot serve Confluence: a code that arrives there belongs to a Jira flow. */
const JIRA_CALLBACK = /\/auth\/jira\/callback\/?$/

export interface Resolved {
  values: Partial<Record<Setting, string>>
  /** The variable each value came from. */
  sources: Partial<Record<Setting, string>>
}

/** Picks each setting's value from the environment: trimmed, the first non-empty name of its list. */
export function resolve(env: NodeJS.ProcessEnv, settings: readonly Setting[]): Resolved {
  const values: Resolved['values'] = {}
  const sources: Resolved['sources'] = {}
  for (const setting of settings) {
    const source = (NAMES[setting] ?? [setting]).find((name) =>
      usable(setting, name, env[name]?.trim() ?? '')
    )
    if (source === undefined) continue
    values[setting] = env[source]?.trim()
    sources[setting] = source
  }
  return { values, sources }
}

function usable(setting: Setting, name: string, value: string): boolean {
  const borrowed = setting === 'CONFLUENCE_OAUTH_REDIRECT_URI' && !name.includes('CONFLUENCE')
  return value !== '' && !(borrowed && JIRA_CALLBACK.test(URL.parse(value)?.pathname ?? ''))
}

/** Variables that look like a slip of the pen for one of ours: a setting that silently does nothing is a trap. */
export function misspelt(
  env: NodeJS.ProcessEnv,
  settings: readonly Setting[]
): Array<{ given: string; meant: string }> {
  const known = new Set([...settings, ...Object.values(NAMES).flat()])
  return Object.keys(env).flatMap((given) => {
    if (given.length < 8 || known.has(given) || env[given]?.trim() === '') return []
    const meant = [...known].find((name) => env[name] === undefined && distance(given, name) <= 2)
    return meant === undefined ? [] : [{ given, meant }]
  })
}
