import { legacyError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { endpoint } from '../gateway/call.ts'
import type { Call, Endpoint } from '../gateway/call.ts'
import { RULES } from '../oauth/scopes.ts'
import { getPage, listPages, listPagesOfSpace } from './pages.ts'
import { searchContent } from './search.ts'
import { getSpace, listSpaces } from './spaces.ts'

/** Everything of Confluence that there is here, all below `/ex/confluence/{cloudId}`. */
export const endpoints: readonly Endpoint[] = [
  endpoint('GET', '/wiki/api/v2/pages', RULES.pages, listPages),
  endpoint('GET', '/wiki/api/v2/pages/{id}', RULES.pages, getPage),
  endpoint('GET', '/wiki/api/v2/spaces/{id}/pages', RULES.pages, listPagesOfSpace),
  endpoint('GET', '/wiki/api/v2/spaces', RULES.spaces, listSpaces),
  endpoint('GET', '/wiki/api/v2/spaces/{id}', RULES.spaces, getSpace),
  endpoint('GET', '/wiki/rest/api/search', RULES.cql, searchContent),
  endpoint('GET', '/wiki/rest/api/user/current', RULES.legacyUser, currentUser),
  ...['GET', 'POST', 'PUT', 'DELETE'].flatMap((method) => [
    endpoint(method, '/wiki/rest/api/content/**', RULES.legacyContent, gone),
    endpoint(method, '/wiki/rest/api/space/**', RULES.legacySpace, gone)
  ])
]

/** Version 1 on the OAuth gateway (atlassian.md 9.3). */
function gone(): Answer {
  return legacyError(
    410,
    'com.atlassian.confluence.api.service.exceptions.GoneException: This deprecated endpoint has been removed.',
    true
  )
}

function currentUser({ user, site, base }: Call): Answer {
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
