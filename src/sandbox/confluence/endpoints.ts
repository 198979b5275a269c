import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { defineEndpoint } from '../gateway/call.ts'
import type { GatewayCall, GatewayEndpoint } from '../state.ts'
import { CONFLUENCE_REQUIREMENTS } from './scopes.ts'
import { getPage, listPages, listPagesOfSpace } from './pages.ts'
import { searchContent } from './search.ts'
import { getSpace, listSpaces } from './spaces.ts'
import { legacyError } from './errors.ts'

/** The implemented Confluence endpoints, below `/ex/confluence/{cloudId}`. */
export const confluenceEndpoints: readonly GatewayEndpoint[] = [
  defineEndpoint('GET', '/wiki/api/v2/pages', CONFLUENCE_REQUIREMENTS.pages, listPages),
  defineEndpoint('GET', '/wiki/api/v2/pages/{id}', CONFLUENCE_REQUIREMENTS.pages, getPage),
  defineEndpoint(
    'GET',
    '/wiki/api/v2/spaces/{id}/pages',
    CONFLUENCE_REQUIREMENTS.pages,
    listPagesOfSpace
  ),
  defineEndpoint('GET', '/wiki/api/v2/spaces', CONFLUENCE_REQUIREMENTS.spaces, listSpaces),
  defineEndpoint('GET', '/wiki/api/v2/spaces/{id}', CONFLUENCE_REQUIREMENTS.spaces, getSpace),
  defineEndpoint('GET', '/wiki/rest/api/search', CONFLUENCE_REQUIREMENTS.cql, searchContent),
  defineEndpoint(
    'GET',
    '/wiki/rest/api/user/current',
    CONFLUENCE_REQUIREMENTS.legacyUser,
    getCurrentUser
  ),
  ...['GET', 'POST', 'PUT', 'DELETE'].flatMap((method) => [
    defineEndpoint(
      method,
      '/wiki/rest/api/content/**',
      CONFLUENCE_REQUIREMENTS.legacyContent,
      answerRemovedConfluenceApi
    ),
    defineEndpoint(
      method,
      '/wiki/rest/api/space/**',
      CONFLUENCE_REQUIREMENTS.legacySpace,
      answerRemovedConfluenceApi
    )
  ])
]

/** Version 1 on the OAuth gateway (docs/reference/atlassian.md#93-version-1). */
function answerRemovedConfluenceApi(): SandboxResponse {
  return legacyError(
    410,
    'com.atlassian.confluence.api.service.exceptions.GoneException: ' +
      'This deprecated endpoint has been removed.',
    true
  )
}

function getCurrentUser({ user, site, base }: GatewayCall): SandboxResponse {
  return ok(
    {
      type: 'known',
      accountId: user.accountId,
      accountType: 'atlassian',
      email: user.email,
      publicName: user.name,
      displayName: user.name,
      timeZone: user.timeZone,
      profilePicture: {
        path: '/wiki/aa-avatar/' + user.nickname,
        width: 48,
        height: 48,
        isDefault: false
      },
      isExternalCollaborator: false,
      _links: {
        self: `${base}/wiki/rest/api/user?accountId=${encodeURIComponent(user.accountId)}`,
        base: `${site.url}/wiki`,
        context: '/wiki'
      }
    },
    2
  )
}
