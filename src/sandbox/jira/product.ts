import type { SandboxProduct } from '../state.ts'
import { jiraEndpoints } from './endpoints.ts'
import { JIRA_SCOPES } from './scopes.ts'
import { jiraError } from './errors.ts'

export const jira: SandboxProduct = {
  id: 'jira',
  gatewayPath: '/ex/jira',
  scopes: JIRA_SCOPES,
  endpoints: jiraEndpoints,
  answerNotFound: () => jiraError(404, 'Not Found'),
  answerForbidden: () => ({
    status: 403,
    body: { errorMessages: ['The app is not installed on this instance.'] }
  }),
  identityHeaders: (accountId) => ({ 'X-Aaccountid': encodeURIComponent(accountId) })
}
