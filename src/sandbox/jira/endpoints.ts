import { jiraError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { endpoint } from '../gateway/call.ts'
import type { Call, Endpoint } from '../gateway/call.ts'
import { jiraInstant } from '../query/format-date.ts'
import { RULES } from '../oauth/scopes.ts'
import { bulkFetch, getIssue } from './issues.ts'
import { getProject, searchProjects } from './projects.ts'
import { approximateCount, searchByGet, searchByPost } from './search.ts'
import { viewAccount } from './view.ts'

/** Everything of Jira that there is here, all below `/ex/jira/{cloudId}`. */
export const endpoints: readonly Endpoint[] = [
  endpoint('GET', '/rest/api/3/project/search', RULES.projectSearch, searchProjects),
  endpoint('GET', '/rest/api/3/project/{projectIdOrKey}', RULES.projectSearch, getProject),
  endpoint('GET', '/rest/api/3/myself', RULES.myself, myself),
  endpoint('GET', '/rest/api/3/serverInfo', RULES.anyone, serverInfo),
  endpoint('GET', '/rest/api/3/search/jql', RULES.jqlGet, searchByGet),
  endpoint('POST', '/rest/api/3/search/jql', RULES.jqlPost, searchByPost),
  endpoint('POST', '/rest/api/3/search/approximate-count', RULES.jqlPost, approximateCount),
  endpoint('POST', '/rest/api/3/issue/bulkfetch', RULES.issue, bulkFetch),
  endpoint('GET', '/rest/api/3/issue/{issueIdOrKey}', RULES.issue, getIssue),
  endpoint('GET', '/rest/api/3/search', RULES.jqlGet, gone),
  endpoint('POST', '/rest/api/3/search', RULES.jqlPost, gone),
  endpoint('POST', '/rest/api/3/search/id', RULES.jqlPost, gone),
  endpoint('GET', '/rest/agile/1.0/board', RULES.agile, () =>
    jiraError(404, 'Boards are not part of the sandbox')
  )
]

const GONE =
  'The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. ' +
  'A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046'

function gone(): Answer {
  return jiraError(410, GONE)
}

/** atlassian.md 8.2 */
function myself({ user, base }: Call): Answer {
  return ok(
    {
      ...viewAccount(user, base, true),
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

/** atlassian.md 8.4 */
function serverInfo({ site, world }: Call): Answer {
  return ok({
    baseUrl: site.url,
    displayUrl: site.url,
    version: '1001.0.0-SNAPSHOT',
    versionNumbers: [1001, 0, 0],
    deploymentType: 'Cloud',
    buildNumber: 100299,
    buildDate: '2026-10-01T00:00:00.000+0000',
    serverTime: jiraInstant(world.now()),
    serverTimeZone: 'Europe/Riga',
    scmInfo: 'sandbox',
    serverTitle: 'Jira',
    defaultLocale: { locale: 'en_US' }
  })
}
