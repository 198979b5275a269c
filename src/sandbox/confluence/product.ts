import type { SandboxResponse } from '../gateway/answer.ts'
import type { SandboxProduct } from '../state.ts'
import { confluenceEndpoints } from './endpoints.ts'
import { CONFLUENCE_SCOPES } from './scopes.ts'
import { confluenceError, legacyError } from './errors.ts'

const isVersion1 = (path: string) => path.startsWith('/wiki/rest/')

/**
 * v2 answers unknown routes with a page, and wrong methods with 405
 * (docs/reference/atlassian.md#11-errors).
 */
function answerUnknownRoute(path: string): SandboxResponse {
  return confluenceEndpoints.some((endpoint) => endpoint.path.test(path))
    ? confluenceError(405, 'METHOD_NOT_ALLOWED', 'Request method is not supported.')
    : {
        status: 404,
        body: '<!doctype html><html lang="en"><head><title>Page not found</title></head></html>',
        headers: { 'Content-Type': 'text/html;charset=UTF-8' }
      }
}

export const confluence: SandboxProduct = {
  id: 'confluence',
  gatewayPath: '/ex/confluence',
  scopes: CONFLUENCE_SCOPES,
  endpoints: confluenceEndpoints,
  answerNotFound: (path) =>
    isVersion1(path) ? legacyError(404, 'Not Found', true) : answerUnknownRoute(path),
  answerForbidden: (path) =>
    isVersion1(path)
      ? legacyError(403, 'Current user not permitted to use Confluence', false)
      : confluenceError(404, 'NOT_FOUND', 'Not Found')
}
