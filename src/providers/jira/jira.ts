import { issues } from './issues.ts'
import { projects } from './projects.ts'
import { listDefaultScopes } from '../endpoint.ts'
import { IDENTITY_FEATURE, type Provider } from '../provider.ts'
import { ISSUE_ENDPOINTS, MYSELF, PROJECT_ENDPOINTS } from './endpoints.ts'

const features: Provider['features'] = [
  { name: 'projects', collection: 'projects', isRequired: true, endpoints: PROJECT_ENDPOINTS },
  { name: 'issues', collection: 'issues', endpoints: ISSUE_ENDPOINTS },
  IDENTITY_FEATURE
]
const endpoints = [...PROJECT_ENDPOINTS, ...ISSUE_ENDPOINTS, MYSELF]

export const jira: Provider = {
  id: 'jira',
  title: 'Jira',
  settings: {
    prefix: 'JIRA',
    aliases: {
      CLIENT_ID: [
        'JIRA_CLIENT_ID',
        'ATLASSIAN_CLIENT_ID',
        'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_ID',
        'NEXT_PUBLIC_JIRA_CLIENT_ID',
        'NEXT_PUBLIC_ATLASSIAN_CLIENT_ID'
      ],
      CLIENT_SECRET: [
        'JIRA_CLIENT_SECRET',
        'ATLASSIAN_CLIENT_SECRET',
        'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_SECRET',
        'NEXT_PUBLIC_ATLASSIAN_CLIENT_SECRET'
      ],
      REDIRECT_URI: [
        'JIRA_REDIRECT_URI',
        'ATLASSIAN_REDIRECT_URI',
        'NEXT_PUBLIC_JIRA_OAUTH_REDIRECT_URI',
        'NEXT_PUBLIC_JIRA_REDIRECT_URI',
        'NEXT_PUBLIC_ATLASSIAN_REDIRECT_URI'
      ]
    }
  },
  endpoints,
  identityEndpoint: MYSELF,
  scopes: listDefaultScopes(endpoints),
  features,
  options: [],
  isProductScope: (scope) => /jira/.test(scope),
  gatewayPath: '/ex/jira',
  basePath: '',
  returnPath: '/oauth/jira',
  returnQuery: {},
  collections: [projects, issues]
}
