/** Refusals that were called for: one for each site and one for all sites may be on at once. */
export interface Curbs<V> {
  /** For one site, or for all; without a variant it ends, and without a site all of them do. */
  set: (cloudId: string | undefined, variant: V | undefined, until: number) => void
  /** What is on for a site right now, its own first. */
  on: (cloudId: string) => V[]
  clear: () => void
}

interface Curb<V> {
  variant: V
  until: number
}

const ALL = ''

export function createCurbs<V>(now: () => number): Curbs<V> {
  const curbs = new Map<string, Curb<V>>()
  const active = (curb: Curb<V> | undefined) =>
    curb !== undefined && now() < curb.until ? [curb.variant] : []

  return {
    set: (cloudId = ALL, variant, until) => {
      if (variant !== undefined) curbs.set(cloudId, { variant, until })
      else if (cloudId === ALL) curbs.clear()
      else curbs.delete(cloudId)
    },
    on: (cloudId) =>
      curbs.size === 0 ? [] : [cloudId, ALL].flatMap((key) => active(curbs.get(key))),
    clear: () => curbs.clear()
  }
}
