/** Alternatives of scopes that all have to be there; no alternative means that none is needed. */
export type ScopeRequirement = readonly (readonly string[])[]

/** The scopes that belong to no product, and how the consent page describes them. */
export const ACCOUNT_SCOPES: Record<string, string> = {
  'read:me': 'View your Atlassian profile',
  'report:personal-data': 'Report which accounts the app stores personal data of',
  offline_access: 'Keep this access while you are away'
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
 * Splits on blanks, keeps each once, drops what does not exist
 * (docs/reference/atlassian.md#12-callback).
 *
 * @param known every scope that exists
 */
export function parseKnownScopes(text: string, known: Record<string, string>): string[] {
  return [...new Set(text.split(/\s+/))].filter((scope) => Object.hasOwn(known, scope))
}
