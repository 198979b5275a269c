import { issues } from './issues.ts'
import { projects } from './projects.ts'
import type { Provider } from '../provider.ts'

const granularScopes = (...names: string[]) => names.map((name) => `read:${name}:jira`)

/** A granular set works only as a whole (docs/reference/atlassian.md#6-scopes). */
const features: Provider['features'] = [
  {
    name: 'projects',
    collection: 'projects',
    isRequired: true,
    scopes: [
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
    ]
  },
  {
    name: 'issues',
    collection: 'issues',
    scopes: [
      ['read:jira-work'],
      granularScopes('issue-details', 'audit-log', 'avatar', 'field-configuration', 'issue-meta')
    ]
  },
  { name: 'identity', scopes: [['read:me']] }
]

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
  scopes: ['read:jira-work', 'read:jira-user', 'read:me', 'offline_access'],
  features,
  options: [],
  isProductScope: (scope) => /jira/.test(scope),
  gatewayPath: '/ex/jira',
  basePath: '',
  returnPath: '/oauth/jira',
  returnQuery: {},
  collections: [projects, issues]
}
