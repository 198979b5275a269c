/** Refusals that were called for: one for each site and one for all sites may be on at once. */
export interface ForcedLimits<V> {
  /** For one site, or for all; without a variant it ends, and without a site all of them do. */
  set: (cloudId: string | undefined, variant: V | undefined, expiresAt: number) => void
  /** What is on for a site right now, its own first. */
  listActive: (cloudId: string) => V[]
  clear: () => void
}

interface ForcedLimit<V> {
  variant: V
  expiresAt: number
}

const ALL_SITES = ''

export function createForcedLimits<V>(now: () => number): ForcedLimits<V> {
  const limits = new Map<string, ForcedLimit<V>>()
  const activeVariants = (limit: ForcedLimit<V> | undefined) =>
    limit !== undefined && now() < limit.expiresAt ? [limit.variant] : []

  return {
    set: (cloudId = ALL_SITES, variant, expiresAt) => {
      if (variant !== undefined) limits.set(cloudId, { variant, expiresAt })
      else if (cloudId === ALL_SITES) limits.clear()
      else limits.delete(cloudId)
    },
    listActive: (cloudId) =>
      limits.size === 0
        ? []
        : [cloudId, ALL_SITES].flatMap((key) => activeVariants(limits.get(key))),
    clear: () => limits.clear()
  }
}
