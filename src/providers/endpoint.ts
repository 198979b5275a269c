/**
 * An endpoint that the service calls below a site's cloudId. All scopes of one family are needed
 * together; one complete family is enough (docs/reference/atlassian.md#6-scopes).
 */
export interface Endpoint {
  method: 'GET' | 'POST'
  /** With `{parameters}`, as in Atlassian's OpenAPI documents. */
  path: string
  /** Null where the endpoint has no scopes of this family. */
  classic: readonly string[] | null
  granular: readonly string[] | null
}

export type ScopeFamily = 'classic' | 'granular'

/** Requested at every login: without them there is no account, and no refresh token. */
export const BASE_SCOPES = ['read:me', 'offline_access']

/** Whether one complete family of the endpoint's scopes is granted. */
export function isInScope({ classic, granular }: Endpoint, scopes: readonly string[]): boolean {
  return [classic, granular].some(
    (family) => family?.every((scope) => scopes.includes(scope)) === true
  )
}

/** The endpoint's scopes in this family, or in the other one if it has none. */
export function getScopes({ classic, granular }: Endpoint, family: ScopeFamily): readonly string[] {
  return (family === 'classic' ? (classic ?? granular) : (granular ?? classic)) ?? []
}

/**
 * The family that an app uses where an endpoint has both: granular if scopes of that family were
 * requested or granted and none of the classic one.
 */
export function detectScopeFamily(
  endpoints: readonly Endpoint[],
  scopes: readonly string[]
): ScopeFamily {
  const choices = endpoints.filter(({ classic, granular }) => classic !== null && granular !== null)
  const isUsed = (family: ScopeFamily) =>
    choices.some((endpoint) => endpoint[family]?.some((scope) => scopes.includes(scope)))
  return isUsed('granular') && !isUsed('classic') ? 'granular' : 'classic'
}

/** The scopes that a login requests unless the operator configures others. */
export function listDefaultScopes(endpoints: readonly Endpoint[]): string[] {
  const scopes = endpoints.flatMap((endpoint) => getScopes(endpoint, 'classic'))
  return [...new Set([...scopes, ...BASE_SCOPES])]
}

/**
 * Finds the endpoint of a call, so that no call is made whose scopes are unknown.
 *
 * @param path below the cloudId, without a query
 * @throws Error for a path that no endpoint describes
 */
export function requireEndpoint(
  endpoints: readonly Endpoint[],
  method: Endpoint['method'],
  path: string
): Endpoint {
  const matches = endpoints.filter((each) => each.method === method && isMatch(each.path, path))
  const endpoint = matches.find((each) => each.path === path) ?? matches[0]
  if (endpoint === undefined) throw new Error(`The provider declares no endpoint ${method} ${path}`)
  return endpoint
}

function isMatch(template: string, path: string): boolean {
  const [expected, actual] = [template.split('/'), path.split('/')]
  return (
    expected.length === actual.length &&
    expected.every((segment, i) => segment === actual[i] || /^\{.*\}$/.test(segment))
  )
}
