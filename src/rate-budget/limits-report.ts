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

/** The limits of one app, as far as all instances know them. */
export interface AppLimits extends QuotaState {
  products: Array<{ product: string; points: number }>
  sites: Array<{ site: string; used: number; quota: QuotaState | null }>
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
    const isBlocked = (scope: string, site: string | null = null) =>
      blocks.some((block) => block.scope === scope && block.site === site)
    /** A refusal says that nothing is left, whatever was counted. */
    const withBlocks = (quota: QuotaState, isUsedUp: boolean): QuotaState =>
      isUsedUp ? { ...quota, remaining: 0 } : quota
    const listMeters = (scope: string) =>
      rows
        .filter((row) => row.scope === scope && row.hour === ledger.currentHour())
        .map(({ name, target }) => ({ target, used: ledger.getUsed(name), name }))
        .sort((a, b) => (a.target < b.target ? -1 : 1))
    const appQuota = ledger.getQuota(app, 'app') as QuotaState
    return {
      ...withBlocks(appQuota, isBlocked('app')),
      products: listMeters('product').map(({ target, used }) => ({
        product: target,
        points: used
      })),
      sites: listMeters('site').map(({ target, used, name }) => {
        const quota = ledger.getQuota(name, 'site')
        return {
          site: target,
          used,
          quota: quota === undefined ? null : withBlocks(quota, isBlocked('site', target))
        }
      }),
      blocks
    }
  }
}
