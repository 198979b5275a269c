const HOUR_MS = 3_600_000

export interface PointsLedger {
  /** The hourly quota, in points. */
  quota: () => number
  setQuota: (points: number) => void
  /** Points that other sites of the app have used in this hour. */
  setUsedByOthers: (points: number) => void
  /** Books one call with its objects (docs/reference/atlassian.md#16-points). */
  charge: (clientId: string, cloudId: string, objects: number) => void
  /** Points of the app in this hour, others included. */
  usedByApp: (clientId: string) => number
  usedAtSite: (clientId: string, cloudId: string) => number
  clients: () => string[]
  clear: () => void
}

/** Counts points per UTC hour, without carry-over. */
export function createPointsLedger(initialQuota: number, now: () => number): PointsLedger {
  let quota = initialQuota
  let others = { hour: 0, used: 0 }
  const used = new Map<string, { hour: number; used: number }>()
  const clients = new Set<string>()
  const currentHour = () => Math.floor(now() / HOUR_MS)
  const inThisHour = (entry: { hour: number; used: number } | undefined) =>
    entry?.hour === currentHour() ? entry.used : 0

  return {
    quota: () => quota,
    setQuota: (points) => {
      quota = points
    },
    setUsedByOthers: (points) => {
      others = { hour: currentHour(), used: points }
    },
    charge: (clientId, cloudId, objects) => {
      clients.add(clientId)
      for (const key of [clientId, `${clientId} ${cloudId}`]) {
        used.set(key, { hour: currentHour(), used: inThisHour(used.get(key)) + 1 + objects })
      }
    },
    usedByApp: (clientId) => inThisHour(used.get(clientId)) + inThisHour(others),
    usedAtSite: (clientId, cloudId) => inThisHour(used.get(`${clientId} ${cloudId}`)),
    clients: () => [...clients],
    clear: () => {
      quota = initialQuota
      others = { hour: 0, used: 0 }
      used.clear()
      clients.clear()
    }
  }
}
