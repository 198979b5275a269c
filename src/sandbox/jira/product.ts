import type { SandboxResponse } from '../gateway/answer.ts'
import type { SandboxProduct } from '../state.ts'
import { jiraEndpoints } from './endpoints.ts'
import { JIRA_SCOPES } from './scopes.ts'
import { jiraError } from './errors.ts'

/** Jira's refusal of a POST without JSON (docs/reference/atlassian.md#11-errors). */
function unsupportedMediaType(path: string, contentType: string): SandboxResponse {
  const name = contentType === '' ? 'null' : contentType
  return {
    status: 415,
    body: {
      title: 'Unsupported Media Type',
      detail: `Content-Type '${name}' is not supported.`,
      instance: path
    },
    headers: { 'Content-Type': 'application/problem+json' }
  }
}

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
  identityHeaders: (accountId) => ({ 'X-AAccountId': encodeURIComponent(accountId) }),
  checkBody: ({ method, path, contentType }) =>
    method === 'POST' && contentType !== 'application/json'
      ? unsupportedMediaType(path, contentType)
      : undefined
}
