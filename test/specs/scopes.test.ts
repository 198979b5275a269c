import t from 'tap'
import { confluenceEndpoints } from '../../src/sandbox/confluence/endpoints.ts'
import { jiraEndpoints } from '../../src/sandbox/jira/endpoints.ts'
import type { GatewayEndpoint } from '../../src/sandbox/state.ts'
import { findOperation, HAS_DOCUMENTS } from './documents.ts'

/** Alternatives of scopes in one order, so that they can be compared. An empty one demands nothing. */
const normalize = (alternatives: ReadonlyArray<readonly string[]>) =>
  alternatives
    .map((scopes) => [...scopes].sort().join(' '))
    .filter((text) => text !== '')
    .sort()

/** The scopes that a document demands of a call; undefined for a call that it does not have. */
function findDocumentedScopes(product: string, { method, label }: GatewayEndpoint) {
  const operation = findOperation({
    product,
    method,
    path: label.replace(`${method} `, '').replaceAll(/\{\w+\}/g, '1'),
    query: new URLSearchParams(),
    requestBody: undefined,
    status: 200,
    body: undefined
  })
  const sets = operation?.definition['x-atlassian-oauth2-scopes'] as
    Array<{ scopes: string[] }> | undefined
  return operation === undefined ? undefined : (sets ?? []).map(({ scopes }) => scopes)
}

t.test(
  "the sandbox demands the scopes of Atlassian's OpenAPI documents",
  { skip: HAS_DOCUMENTS ? false : 'the folder ../shared/specs is absent' },
  async (t) => {
    const compared: string[] = []
    for (const [product, endpoints] of [
      ['jira', jiraEndpoints],
      ['confluence', confluenceEndpoints]
    ] as const) {
      for (const endpoint of endpoints) {
        // Routes that version 1 of Confluence no longer has.
        if (endpoint.label.endsWith('/**')) continue
        const documented = findDocumentedScopes(product, endpoint)
        if (documented === undefined) continue
        compared.push(endpoint.label)
        t.strictSame(normalize(endpoint.scopes), normalize(documented), endpoint.label)
      }
    }
    t.ok(compared.length >= 20, `${compared.length} calls were compared`)
  }
)
