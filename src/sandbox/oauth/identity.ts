import { gatewayError, ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { hash } from '../data/hash.ts'
import { tokenServices, verifyAccessToken } from './tokens.ts'
import type { SandboxState } from '../state.ts'

const AVATAR_URL = 'https://avatar-management--avatars.us-west-2.prod.public.atl-paas.net/initials'

/**
 * GET /oauth/token/accessible-resources (docs/reference/atlassian.md#51-accessible-resources). A
 * site is listed once per product, in an undefined order that changes from call to call. The
 * list does not contain the user's permissions.
 */
export function listAccessibleResources(
  state: SandboxState,
  token: string | undefined
): SandboxResponse {
  const session = verifyAccessToken(tokenServices(state), token)
  if (session === undefined) return gatewayError(401, 'Unauthorized')
  const { grant, scopes } = session
  const resources = state.sites
    .filter(({ cloudId }) => grant.cloudIds.has(cloudId))
    .flatMap((site) =>
      state.products
        .filter(({ id }) => site.products.includes(id))
        .map((product) => ({
          id: site.cloudId,
          name: site.name,
          url: site.url,
          scopes: scopes.filter((scope) => Object.hasOwn(product.scopes, scope)),
          avatarUrl: `https://site-admin-avatar-cdn.prod.public.atl-paas.net/avatars/240/${site.name}.png`
        }))
    )
    .filter((resource) => resource.scopes.length > 0)
  return ok(shuffle(resources, state.seed, state.tick()))
}

function shuffle<T>(list: T[], seed: number, turn: number): T[] {
  return list
    .map((item, index) => ({ item, order: hash(seed, 1000 + turn, index) }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item)
}

/** GET /me (docs/reference/atlassian.md#52-user-identity). */
export function getProfile(state: SandboxState, token: string | undefined): SandboxResponse {
  const session = verifyAccessToken(tokenServices(state), token)
  const user = state.users.find(({ accountId }) => accountId === session?.accountId)
  if (session === undefined || user === undefined) return gatewayError(401, 'Unauthorized')
  if (!session.scopes.includes('read:me')) {
    return gatewayError(401, 'Unauthorized; scope does not match', {
      'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK'
    })
  }
  return ok({
    account_type: 'atlassian',
    account_id: user.accountId,
    email: user.email,
    name: user.name,
    picture: `${AVATAR_URL}/${user.nickname}.png`,
    account_status: 'active',
    nickname: user.nickname,
    zoneinfo: user.timeZone,
    locale: user.locale,
    extended_profile: {
      job_title: 'Engineer',
      organization: 'Acme',
      department: 'R&D',
      location: user.timeZone.split('/')[1] ?? ''
    }
  })
}
