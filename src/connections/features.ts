import { detectScopeFamily, getScopes, isInScope } from '../providers/endpoint.ts'
import type { Feature, Provider } from '../providers/provider.ts'
import type { Connection } from '../store/repositories/connections.ts'
import type { StateReason } from '../store/repositories/connection-history.ts'

/** Whether a feature is enabled, and which scopes it lacks if not. */
export interface FeatureState {
  feature: Feature
  isEnabled: boolean
  missingScopes: string[]
}

/**
 * Evaluates which features a consent enables (docs/reference/atlassian.md#6-scopes), from the
 * granted scopes and from what the gateway has refused despite them. Missing scopes are named in
 * the family, classic or granular, that the app uses.
 *
 * @param requestedScopes what a login requests, if known
 */
export function evaluateFeatures(
  { features, endpoints }: Pick<Provider, 'features' | 'endpoints'>,
  scopes: readonly string[],
  { refusedFeatures }: Pick<Connection, 'refusedFeatures'>,
  requestedScopes: readonly string[] = []
): FeatureState[] {
  const family = detectScopeFamily(endpoints, [...scopes, ...requestedScopes])
  return features.map((feature) => {
    const isRefused = refusedFeatures.includes(feature.name)
    const missingScopes = feature.endpoints
      .filter((endpoint) => isRefused || !isInScope(endpoint, scopes))
      .flatMap((endpoint) => getScopes(endpoint, family))
      .filter((scope) => isRefused || !scopes.includes(scope))
    return {
      feature,
      isEnabled: missingScopes.length === 0,
      missingScopes: [...new Set(missingScopes)]
    }
  })
}

/** Explains which missing scopes prevent a sync; null if none do. */
export function explainMissingScopes(
  { title }: Provider,
  features: readonly FeatureState[]
): StateReason | null {
  const disabled = features.filter(
    ({ feature, isEnabled }) => feature.isRequired === true && !isEnabled
  )
  if (disabled.length === 0) return null
  const missingScopes = [...new Set(disabled.flatMap(({ missingScopes }) => missingScopes))]
  return {
    code: 'scope_missing',
    detail:
      `The connection lacks a scope that ${title} needs (${missingScopes.join(' ')}). ` +
      'Enable it on the app and connect again.'
  }
}
