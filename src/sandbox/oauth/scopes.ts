/** Alternative sets of scopes; one set must be granted in full. No set: no scope is required. */
export type ScopeRequirement = readonly (readonly string[])[]

/** The scopes that belong to no product, with their descriptions on the consent page. */
export const ACCOUNT_SCOPES: Record<string, string> = {
  'read:me': 'View your Atlassian profile',
  'report:personal-data': 'Report which accounts the app stores personal data of',
  offline_access: 'Keep this access after you log out'
}

export function satisfiesScopes(
  requirement: ScopeRequirement,
  granted: readonly string[]
): boolean {
  return (
    requirement.length === 0 ||
    requirement.some((names) => names.every((name) => granted.includes(name)))
  )
}

/**
 * Splits at spaces, and drops duplicates and unknown scopes
 * (docs/reference/atlassian.md#12-callback).
 *
 * @param known every existing scope
 */
export function parseKnownScopes(text: string, known: Record<string, string>): string[] {
  return [...new Set(text.split(/\s+/))].filter((scope) => Object.hasOwn(known, scope))
}
