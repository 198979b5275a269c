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
 * granted scopes and from what the gateway has refused despite them.
 */
export function evaluateFeatures(
  { features }: Provider,
  scopes: readonly string[],
  { refusedFeatures }: Pick<Connection, 'refusedFeatures'>
): FeatureState[] {
  return features.map((feature) => {
    const missingPerAlternative = feature.scopes.map((set) =>
      set.filter((scope) => !scopes.includes(scope))
    )
    const isRefused = refusedFeatures.includes(feature.name)
    const isEnabled =
      missingPerAlternative.some((missingScopes) => missingScopes.length === 0) && !isRefused
    return {
      feature,
      isEnabled,
      missingScopes: isEnabled
        ? []
        : isRefused
          ? [...feature.scopes[0]]
          : (missingPerAlternative[0] ?? [])
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
