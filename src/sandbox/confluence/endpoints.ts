import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { withCursorFaults } from '../answers/listing.ts'
import { defineEndpoint } from '../gateway/call.ts'
import type { GatewayCall, GatewayEndpoint } from '../state.ts'
import { CQL_LISTING, V2_LISTING } from './listing-forms.ts'
import { CONFLUENCE_REQUIREMENTS } from './scopes.ts'
import { getPage, listPages, listPagesOfSpace } from './pages.ts'
import { searchContent } from './search.ts'
import { getSpace, listSpaces } from './spaces.ts'
import { legacyError } from './errors.ts'
import { getContainer, listChildren, listDirectChildren, listDirectChildrenOfPage } from './tree.ts'

/** The implemented Confluence endpoints, below `/ex/confluence/{cloudId}`. */
export const confluenceEndpoints: readonly GatewayEndpoint[] = [
  defineEndpoint(
    'GET',
    '/wiki/api/v2/pages',
    CONFLUENCE_REQUIREMENTS.pages,
    withCursorFaults(V2_LISTING, listPages)
  ),
  defineEndpoint('GET', '/wiki/api/v2/pages/{id}', CONFLUENCE_REQUIREMENTS.pages, getPage),
  defineEndpoint(
    'GET',
    '/wiki/api/v2/pages/{id}/children',
    CONFLUENCE_REQUIREMENTS.pages,
    listChildren
  ),
  defineEndpoint(
    'GET',
    '/wiki/api/v2/pages/{id}/direct-children',
    CONFLUENCE_REQUIREMENTS.tree,
    listDirectChildrenOfPage
  ),
  ...(['folder', 'database', 'whiteboard'] as const).flatMap((type) => [
    defineEndpoint(
      'GET',
      `/wiki/api/v2/${type}s/{id}`,
      CONFLUENCE_REQUIREMENTS[`${type}s`],
      getContainer(type)
    ),
    defineEndpoint(
      'GET',
      `/wiki/api/v2/${type}s/{id}/direct-children`,
      CONFLUENCE_REQUIREMENTS.tree,
      listDirectChildren(type)
    )
  ]),
  defineEndpoint(
    'GET',
    '/wiki/api/v2/spaces/{id}/pages',
    CONFLUENCE_REQUIREMENTS.pages,
    withCursorFaults(V2_LISTING, listPagesOfSpace)
  ),
  defineEndpoint(
    'GET',
    '/wiki/api/v2/spaces',
    CONFLUENCE_REQUIREMENTS.spaces,
    withCursorFaults(V2_LISTING, listSpaces)
  ),
  defineEndpoint('GET', '/wiki/api/v2/spaces/{id}', CONFLUENCE_REQUIREMENTS.spaces, getSpace),
  defineEndpoint(
    'GET',
    '/wiki/rest/api/search',
    CONFLUENCE_REQUIREMENTS.cql,
    withCursorFaults(CQL_LISTING, searchContent)
  ),
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
  return {
    ...legacyError(
      410,
      'com.atlassian.confluence.api.service.exceptions.GoneException: ' +
        'This deprecated endpoint has been removed.',
      true
    ),
    headers: {
      deprecation: 'Wed, 1 Mar 2023 00:00:00 GMT',
      Link: '<https://developer.atlassian.com/changelog/#CHANGE-864>; rel="deprecation"',
      warning: '299 - "Deprecated API, will be removed on Fri, 30 Jan 2026 00:00:00 GMT"'
    }
  }
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
