import { jira } from '../jira/jira.ts'
import { PAGE_BODIES, pages } from './pages.ts'
import { spaces } from './spaces.ts'
import { listDefaultScopes } from '../endpoint.ts'
import { IDENTITY_FEATURE, type Provider } from '../provider.ts'
import { PAGE_ENDPOINTS, SEARCH_ENDPOINT, SPACE_ENDPOINTS } from './endpoints.ts'

const features: Provider['features'] = [
  { name: 'spaces', collection: 'spaces', endpoints: SPACE_ENDPOINTS },
  {
    name: 'pages',
    collection: 'pages',
    isRequired: true,
    // A page carries only the id of its space, and the space has the key.
    endpoints: [...PAGE_ENDPOINTS, ...SPACE_ENDPOINTS]
  },
  { name: 'incremental_pages', enablesIncremental: 'pages', endpoints: [SEARCH_ENDPOINT] },
  IDENTITY_FEATURE
]
const endpoints = [...SPACE_ENDPOINTS, ...PAGE_ENDPOINTS, SEARCH_ENDPOINT]

export const confluence: Provider = {
  id: 'confluence',
  title: 'Confluence',
  settings: {
    prefix: 'CONFLUENCE',
    aliases: {
      CLIENT_ID: [
        'CONFLUENCE_CLIENT_ID',
        'NEXT_PUBLIC_CONFLUENCE_OAUTH_CLIENT_ID',
        'NEXT_PUBLIC_CONFLUENCE_CLIENT_ID'
      ],
      CLIENT_SECRET: ['CONFLUENCE_CLIENT_SECRET', 'NEXT_PUBLIC_CONFLUENCE_OAUTH_CLIENT_SECRET'],
      REDIRECT_URI: [
        'CONFLUENCE_REDIRECT_URI',
        'NEXT_PUBLIC_CONFLUENCE_OAUTH_REDIRECT_URI',
        'NEXT_PUBLIC_CONFLUENCE_REDIRECT_URI'
      ]
    },
    fallback: jira
  },
  endpoints,
  scopes: listDefaultScopes(endpoints),
  features,
  options: [
    {
      name: PAGE_BODIES,
      description:
        'Copies the bodies of pages: storage format and plain text. A change starts a full copy',
      responseDescription: 'The copies of pages have their bodies'
    }
  ],
  isProductScope: (scope) => /confluence/.test(scope),
  gatewayPath: '/ex/confluence',
  basePath: '/wiki',
  returnPath: '/oauth/callback',
  returnQuery: { provider: 'confluence' },
  collections: [spaces, pages]
}
