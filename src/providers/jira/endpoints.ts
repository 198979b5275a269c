import type { Endpoint } from '../endpoint.ts'

const granularScopes = (...names: string[]) => names.map((name) => `read:${name}:jira`)

const PROJECT_SCOPES = {
  classic: ['read:jira-work'],
  granular: granularScopes(
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
}
/** GET of the same path needs other granular scopes than POST. */
const SEARCH_SCOPES = {
  classic: ['read:jira-work'],
  granular: granularScopes('issue-details', 'field.default-value', 'field.option', 'field', 'group')
}
const ISSUE_SCOPES = {
  classic: ['read:jira-work'],
  granular: granularScopes(
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
}

/** Calls that copy projects. */
export const PROJECT_ENDPOINTS: readonly Endpoint[] = [
  { method: 'GET', path: '/rest/api/3/project/search', ...PROJECT_SCOPES },
  { method: 'GET', path: '/rest/api/3/project/{projectIdOrKey}', ...PROJECT_SCOPES }
]

/** Calls that copy issues. */
export const ISSUE_ENDPOINTS: readonly Endpoint[] = [
  { method: 'POST', path: '/rest/api/3/search/jql', ...SEARCH_SCOPES },
  { method: 'POST', path: '/rest/api/3/search/approximate-count', ...SEARCH_SCOPES },
  { method: 'POST', path: '/rest/api/3/issue/bulkfetch', ...ISSUE_SCOPES },
  { method: 'GET', path: '/rest/api/3/issue/{issueIdOrKey}', ...ISSUE_SCOPES }
]

/** Says whose token it is; needed only where responses do not (`identity` of the provider). */
export const MYSELF: Endpoint = {
  method: 'GET',
  path: '/rest/api/3/myself',
  classic: ['read:jira-user'],
  granular: granularScopes('application-role', 'group', 'user', 'avatar')
}
