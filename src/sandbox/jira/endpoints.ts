import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { withCursorFaults } from '../answers/listing.ts'
import { defineEndpoint } from '../gateway/call.ts'
import type { GatewayCall, GatewayEndpoint } from '../state.ts'
import { formatJiraDate } from '../query/format-date.ts'
import { GET_SEARCH, POST_SEARCH } from './listing-form.ts'
import { JIRA_REQUIREMENTS } from './scopes.ts'
import { bulkFetchIssues, getIssue } from './issues.ts'
import { getProject, searchProjects } from './projects.ts'
import { approximateCount, searchByGet, searchByPost } from './search.ts'
import { renderAccount } from './view.ts'
import { jiraError } from './errors.ts'

/** Calls that Jira answers without credentials (docs/reference/atlassian.md#86-anonymous-answers). */
const anonymousEndpoints: readonly GatewayEndpoint[] = [
  defineEndpoint(
    'GET',
    '/rest/api/3/project/search',
    JIRA_REQUIREMENTS.projectSearch,
    searchProjects
  ),
  defineEndpoint(
    'GET',
    '/rest/api/3/project/{projectIdOrKey}',
    JIRA_REQUIREMENTS.projectSearch,
    getProject
  ),
  defineEndpoint('GET', '/rest/api/3/serverInfo', JIRA_REQUIREMENTS.anyone, getServerInfo),
  defineEndpoint(
    'GET',
    '/rest/api/3/search/jql',
    JIRA_REQUIREMENTS.jqlGet,
    withCursorFaults(GET_SEARCH, searchByGet)
  ),
  defineEndpoint(
    'POST',
    '/rest/api/3/search/jql',
    JIRA_REQUIREMENTS.jqlPost,
    withCursorFaults(POST_SEARCH, searchByPost)
  ),
  defineEndpoint(
    'POST',
    '/rest/api/3/search/approximate-count',
    JIRA_REQUIREMENTS.jqlPost,
    approximateCount
  ),
  defineEndpoint('POST', '/rest/api/3/issue/bulkfetch', JIRA_REQUIREMENTS.issue, bulkFetchIssues),
  defineEndpoint('GET', '/rest/api/3/issue/{issueIdOrKey}', JIRA_REQUIREMENTS.issue, getIssue)
]

/** The implemented Jira endpoints, below `/ex/jira/{cloudId}`. */
export const jiraEndpoints: readonly GatewayEndpoint[] = [
  ...anonymousEndpoints.map((endpoint) => ({ ...endpoint, allowsAnonymous: true })),
  defineEndpoint('GET', '/rest/api/3/myself', JIRA_REQUIREMENTS.myself, getMyself),
  defineEndpoint('GET', '/rest/api/3/search', JIRA_REQUIREMENTS.jqlGet, answerRemovedJiraApi),
  defineEndpoint('POST', '/rest/api/3/search', JIRA_REQUIREMENTS.jqlPost, answerRemovedJiraApi),
  defineEndpoint('POST', '/rest/api/3/search/id', JIRA_REQUIREMENTS.jqlPost, answerRemovedJiraApi),
  defineEndpoint('GET', '/rest/agile/1.0/board', JIRA_REQUIREMENTS.agile, () =>
    jiraError(404, 'Boards are not part of the sandbox')
  )
]

const REMOVED_MESSAGE =
  'The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. ' +
  'A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046'

function answerRemovedJiraApi(): SandboxResponse {
  return jiraError(410, REMOVED_MESSAGE)
}

/** GET myself (docs/reference/atlassian.md#82-myself) */
function getMyself({ user, base }: GatewayCall): SandboxResponse {
  return ok(
    {
      ...renderAccount(user, base, true),
      accountType: 'atlassian',
      emailAddress: user.email,
      timeZone: user.timeZone,
      locale: user.locale.replace('-', '_'),
      groups: { size: 3, items: [] },
      applicationRoles: { size: 1, items: [] },
      expand: 'groups,applicationRoles'
    },
    2
  )
}

/** GET serverInfo (docs/reference/atlassian.md#84-server-info) */
function getServerInfo({ site, state }: GatewayCall): SandboxResponse {
  return ok({
    baseUrl: site.url,
    displayUrl: site.url,
    version: '1001.0.0-SNAPSHOT',
    versionNumbers: [1001, 0, 0],
    deploymentType: 'Cloud',
    buildNumber: 100299,
    buildDate: '2026-10-01T00:00:00.000+0000',
    serverTime: formatJiraDate(state.now()),
    serverTimeZone: 'Europe/Riga',
    scmInfo: 'sandbox',
    serverTitle: 'Jira',
    defaultLocale: { locale: 'en_US' }
  })
}
