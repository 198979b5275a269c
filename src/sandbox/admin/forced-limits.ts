/** Limits that the admin API forces: one per site and one for all sites can be active at once. */
export interface ForcedLimits<V> {
  /**
   * Sets the limit of one site, or of all sites. Without a variant it is removed; without a site
   * as well, every limit is removed.
   */
  set: (cloudId: string | undefined, variant: V | undefined, expiresAt: number) => void
  /** Returns the limits that are active for a site, its own first. */
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
