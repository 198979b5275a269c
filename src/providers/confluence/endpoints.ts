import type { Endpoint } from '../endpoint.ts'

/** The v2 API has no classic scopes. */
const SPACE_SCOPES = { classic: null, granular: ['read:space:confluence'] }
const PAGE_SCOPES = { classic: null, granular: ['read:page:confluence'] }

/** Calls that copy spaces. */
export const SPACE_ENDPOINTS: readonly Endpoint[] = [
  { method: 'GET', path: '/wiki/api/v2/spaces', ...SPACE_SCOPES },
  { method: 'GET', path: '/wiki/api/v2/spaces/{id}', ...SPACE_SCOPES }
]

/** Calls that copy pages. */
export const PAGE_ENDPOINTS: readonly Endpoint[] = [
  { method: 'GET', path: '/wiki/api/v2/pages', ...PAGE_SCOPES },
  { method: 'GET', path: '/wiki/api/v2/pages/{id}', ...PAGE_SCOPES }
]

/** The CQL search, which finds changed pages. */
export const SEARCH_ENDPOINT: Endpoint = {
  method: 'GET',
  path: '/wiki/rest/api/search',
  classic: ['search:confluence'],
  granular: ['read:content-details:confluence']
}
