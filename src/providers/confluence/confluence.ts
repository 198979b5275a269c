import { jira } from '../jira/jira.ts'
import { PAGE_BODIES, pages } from './pages.ts'
import { spaces } from './spaces.ts'
import type { Provider } from '../provider.ts'

/**
 * Pages need the scope of spaces: a page carries only its space's id, and the space has the key.
 * The v2 API has no classic scopes (docs/reference/atlassian.md#6-scopes).
 */
const features: Provider['features'] = [
  { name: 'spaces', collection: 'spaces', scopes: [['read:space:confluence']] },
  {
    name: 'pages',
    collection: 'pages',
    isRequired: true,
    scopes: [['read:page:confluence', 'read:space:confluence']]
  },
  {
    name: 'incremental_pages',
    enablesIncremental: 'pages',
    scopes: [['search:confluence'], ['read:content-details:confluence']]
  },
  { name: 'identity', scopes: [['read:me']] }
]

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
  scopes: [
    'read:space:confluence',
    'read:page:confluence',
    'search:confluence',
    'read:me',
    'offline_access'
  ],
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
