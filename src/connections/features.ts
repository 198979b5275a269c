import type { Feature, Provider } from '../providers/provider.ts'
import type { Connection } from '../store/repositories/connections.ts'
import type { Reason } from '../store/repositories/connection-history.ts'

/** Whether a feature can be used, and what the consent lacks if not. */
export interface FeatureState {
  feature: Feature
  on: boolean
  missing: string[]
}

/**
 * What a consent is good for (atlassian.md section 6): judged by the scopes that were granted, and by what the gateway has
 * refused in spite of them.
 */
export function featuresOf(
  { features }: Provider,
  scopes: readonly string[],
  { refused }: Pick<Connection, 'refused'>
): FeatureState[] {
  return features.map((feature) => {
    const lacking = feature.scopes.map((set) => set.filter((scope) => !scopes.includes(scope)))
    const isRefused = refused.includes(feature.name)
    const on = lacking.some((missing) => missing.length === 0) && !isRefused
    return {
      feature,
      on,
      missing: on ? [] : isRefused ? [...feature.scopes[0]] : (lacking[0] ?? [])
    }
  })
}

/** Why copies cannot be made for want of scopes; null where they can. */
export function scopesMissing(
  { title }: Provider,
  features: readonly FeatureState[]
): Reason | null {
  const off = features.filter(({ feature, on }) => feature.essential === true && !on)
  if (off.length === 0) return null
  const missing = [...new Set(off.flatMap(({ missing }) => missing))]
  return {
    code: 'scope_missing',
    detail: `The connection lacks a scope that ${title} needs (${missing.join(' ')}). Enable it on the app and connect again.`
  }
}
