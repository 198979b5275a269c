import type { RateBudgetRepository } from '../store/repositories/rate-budgets.ts'
import type { Ledger, QuotaState } from './ledger.ts'

/** What blocks calls until a time. */
interface BlockReport {
  /** `app`, `site`, `account`, `endpoint`, or `pace` for calls that are spaced. */
  scope: string
  site: string | null
  endpoint: string | null
  /** The reason or the policy, as Atlassian named it. */
  reason: string | null
  until: Date
}

/** A quota, and until when a refusal blocks everything that it covers. */
export interface QuotaReport extends QuotaState {
  blockedUntil: Date | null
}

/** The limits of one app, as far as all instances know them. */
export interface AppLimits {
  points: QuotaReport
  products: Array<{ product: string; points: number }>
  sites: Array<{ site: string; used: number; points: QuotaReport | null }>
  blocks: BlockReport[]
}

/** @param now milliseconds since the epoch */
export function createLimitsReport(
  ledger: Ledger,
  shared: RateBudgetRepository,
  now: () => number
): (app: string) => Promise<AppLimits> {
  return async (app) => {
    await ledger.publishAll()
    const rows = (await shared.listCurrent(ledger.currentHour())).filter((row) => row.app === app)
    for (const row of rows) ledger.merge(row)
    const blocks = rows
      .filter(({ waitMs }) => waitMs > 0)
      .map(({ scope, target, reason, waitMs }): BlockReport => {
        const [site = '', ...endpoint] = target.split(' ')
        return {
          scope,
          site: site === '' ? null : site,
          endpoint: endpoint.length === 0 ? null : endpoint.join(' '),
          reason,
          until: new Date(now() + waitMs)
        }
      })
      .sort((a, b) => a.until.getTime() - b.until.getTime())
    const toReport = (quota: QuotaState, scope: string, site: string | null): QuotaReport => {
      const block = blocks.findLast((each) => each.scope === scope && each.site === site)
      // A refusal says that nothing is left, whatever was counted.
      return block === undefined
        ? { ...quota, blockedUntil: null }
        : { ...quota, remaining: 0, blockedUntil: block.until }
    }
    const listMeters = (scope: string) =>
      rows
        .filter((row) => row.scope === scope && row.hour === ledger.currentHour())
        .map(({ name, target }) => ({ target, used: ledger.getUsed(name), name }))
        .sort((a, b) => (a.target < b.target ? -1 : 1))
    return {
      points: toReport(ledger.getQuota(app, 'app') as QuotaState, 'app', null),
      products: listMeters('product').map(({ target, used }) => ({
        product: target,
        points: used
      })),
      sites: listMeters('site').map(({ target, used, name }) => {
        const quota = ledger.getQuota(name, 'site')
        const points = quota === undefined ? null : toReport(quota, 'site', target)
        return { site: target, used, points }
      }),
      blocks
    }
  }
}
