import type { Product } from '../data/sites.ts'

/** Alternatives of scopes that all have to be there; no alternative means that none is needed. */
export type ScopeRequirement = readonly (readonly string[])[]

/** Every scope that exists here, and what the consent page says of it. Other names are dropped without a word. */
export const SCOPES: Record<string, string> = {
  'read:jira-work': 'View Jira issue data, projects and attachments',
  'write:jira-work': 'Create and manage issues',
  'read:jira-user': 'View user profiles in Jira',
  'manage:jira-webhook': 'Register and manage Jira webhooks',
  'manage:jira-project': 'Manage project settings',
  'manage:jira-configuration': 'Manage Jira global settings',
  'read:confluence-content.all': 'Read Confluence detailed content',
  'read:confluence-content.summary': 'Read Confluence content summary',
  'read:confluence-space.summary': 'Read Confluence space summary',
  'read:confluence-user': 'Read user profiles in Confluence',
  'search:confluence': 'Search Confluence content and space summaries',
  'write:confluence-content': 'Create and edit Confluence content',
  'readonly:content.attachment:confluence': 'Download Confluence attachments',
  'read:page:confluence': 'View pages',
  'read:space:confluence': 'View spaces',
  'read:space-details:confluence': 'View space details',
  'read:user:confluence': 'View Confluence user details',
  'read:content-details:confluence': 'View content details and search',
  'read:attachment:confluence': 'View attachments',
  'read:comment:confluence': 'View comments',
  'read:me': 'View your Atlassian profile',
  'report:personal-data': 'Report which accounts the app stores personal data of',
  offline_access: 'Keep this access while you are away',
  ...describeGranularScopes(
    'project',
    'issue-type',
    'project.property',
    'user',
    'application-role',
    'avatar',
    'group',
    'issue-type-hierarchy',
    'project-category',
    'project-version',
    'project.component',
    'issue-details',
    'audit-log',
    'field-configuration',
    'issue-meta',
    'field.default-value',
    'field.option',
    'field',
    'issue',
    'status',
    'issue-security-level',
    'issue.vote',
    'issue.changelog',
    'webhook',
    'jql'
  ),
  'write:webhook:jira': 'Register Jira webhooks',
  'delete:webhook:jira': 'Delete Jira webhooks',
  'read:board-scope:jira-software': 'View boards'
}

function describeGranularScopes(...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => [
      `read:${name}:jira`,
      `View ${name.replaceAll(/[.-]/g, ' ')} (Jira, granular)`
    ])
  )
}

const granularScopes = (...names: string[]) => names.map((name) => `read:${name}:jira`)

/**
 * What each call wants (docs/reference/atlassian.md#6-scopes): classic first, then the granular
 * set, which is all or nothing.
 */
export const SCOPE_REQUIREMENTS = {
  projectSearch: [
    ['read:jira-work'],
    granularScopes(
      'project',
      'issue-type',
      'project.property',
      'user',
      'application-role',
      'avatar',
      'group',
      'issue-type-hierarchy',
      'project-category',
      'project-version',
      'project.component'
    )
  ],
  jqlGet: [
    ['read:jira-work'],
    granularScopes('issue-details', 'audit-log', 'avatar', 'field-configuration', 'issue-meta')
  ],
  jqlPost: [
    ['read:jira-work'],
    granularScopes('issue-details', 'field.default-value', 'field.option', 'field', 'group')
  ],
  issue: [
    ['read:jira-work'],
    granularScopes(
      'issue-meta',
      'issue-security-level',
      'issue.vote',
      'issue.changelog',
      'avatar',
      'issue',
      'status',
      'user',
      'field-configuration'
    )
  ],
  myself: [['read:jira-user'], granularScopes('application-role', 'group', 'user', 'avatar')],
  agile: [['read:board-scope:jira-software', 'read:project:jira']],
  pages: [['read:page:confluence']],
  spaces: [['read:space:confluence']],
  cql: [['search:confluence'], ['read:content-details:confluence']],
  legacyUser: [['read:confluence-user'], ['read:content-details:confluence']],
  legacyContent: [
    ['read:confluence-content.all'],
    ['read:confluence-content.summary'],
    ['read:content-details:confluence']
  ],
  legacySpace: [
    ['read:confluence-space.summary'],
    ['read:confluence-content.all'],
    ['read:space-details:confluence']
  ],
  anyone: []
} satisfies Record<string, ScopeRequirement>

export function satisfiesScopes(
  requirement: ScopeRequirement,
  granted: readonly string[]
): boolean {
  return (
    requirement.length === 0 ||
    requirement.some((names) => names.every((name) => granted.includes(name)))
  )
}

/** Which product a scope belongs to; undefined for `read:me` and `offline_access`, which no site lists. */
export function productOfScope(scope: string): Product | undefined {
  if (/:jira(-\w+)?$/.test(scope)) return 'jira'
  return scope.includes('confluence') ? 'confluence' : undefined
}

/**
 * Splits on blanks, keeps each once, drops what does not exist
 * (docs/reference/atlassian.md#12-callback).
 */
export function parseKnownScopes(text: string): string[] {
  return [...new Set(text.split(/\s+/))].filter((scope) => Object.hasOwn(SCOPES, scope))
}
