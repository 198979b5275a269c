import type { ScopeRequirement } from '../oauth/scopes.ts'

/** The scopes of Jira, and how the consent page describes them. */
export const JIRA_SCOPES: Record<string, string> = {
  'read:jira-work': 'View Jira issue data, projects and attachments',
  'write:jira-work': 'Create and manage issues',
  'read:jira-user': 'View user profiles in Jira',
  'manage:jira-webhook': 'Register and manage Jira webhooks',
  'manage:jira-project': 'Manage project settings',
  'manage:jira-configuration': 'Manage Jira global settings',
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
 * The scopes that each call requires (docs/reference/atlassian.md#6-scopes): the classic scope,
 * or all of the granular ones.
 */
export const JIRA_REQUIREMENTS = {
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
  anyone: []
} satisfies Record<string, ScopeRequirement>
