import type { SandboxProduct } from '../state.ts'
import { confluenceEndpoints } from './endpoints.ts'
import { CONFLUENCE_SCOPES } from './scopes.ts'
import { confluenceError, legacyError } from './errors.ts'

const isVersion1 = (path: string) => path.startsWith('/wiki/rest/')

export const confluence: SandboxProduct = {
  id: 'confluence',
  gatewayPath: '/ex/confluence',
  scopes: CONFLUENCE_SCOPES,
  endpoints: confluenceEndpoints,
  answerNotFound: (path) =>
    isVersion1(path)
      ? legacyError(404, 'Not Found', true)
      : confluenceError(404, 'NOT_FOUND', 'Not Found'),
  answerForbidden: (path) =>
    isVersion1(path)
      ? legacyError(403, 'Current user not permitted to use Confluence', false)
      : confluenceError(404, 'NOT_FOUND', 'Not Found')
}
