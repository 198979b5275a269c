import { AppError } from '../lib/errors.ts'
import type { HttpResponse, Logger } from '../lib/http-client.ts'
import { REPORT_SCOPE, type AuthorizedRequest } from '../providers/atlassian.ts'
import { isRecord, toStorableText } from '../lib/json.ts'
import type { ReportableAccount } from '../store/repositories/privacy-reports.ts'

/**
 * Accounts per report (Atlassian's user privacy guide for app developers, "Reporting user
 * personal data").
 */
export const MAX_ACCOUNTS_PER_REPORT = 90
const DAY_MS = 86_400_000
/** After this time an account must be reported again, if Atlassian's response names no other time. */
const DEFAULT_CYCLE_DAYS = 7
const MAX_CYCLE_DAYS = 90

export type AccountStatus = { accountId: string; status: 'closed' | 'updated' }

/**
 * Atlassian's response: the accounts that need an action, and how long after this report the others
 * must be reported again.
 */
export interface AccountReport {
  accountStatuses: AccountStatus[]
  cycleMs: number
}

/**
 * Reports accounts to Atlassian.
 *
 * @throws AppError `scope_missing` if the app lacks the permission, `upstream_…` for every other
 *   response than 200 and 204
 */
export async function sendAccountReport(
  sendRequest: AuthorizedRequest,
  apiUrl: string,
  accounts: readonly ReportableAccount[],
  log: Logger
): Promise<AccountReport> {
  const url = `${apiUrl}/app/report-accounts/`
  const response = await sendRequest(url, {
    accounts: accounts.map(({ accountId, updatedAt }) => ({
      accountId,
      updatedAt: updatedAt.toISOString()
    }))
  })
  if (response.status === 204) return { accountStatuses: [], cycleMs: parseCycleMs(response) }
  if (response.status !== 200) throw toReportError(response, log)
  const entries =
    isRecord(response.body) && Array.isArray(response.body.accounts)
      ? response.body.accounts.filter(isRecord)
      : undefined
  if (entries === undefined) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian responded to an account report in an unknown format.'
    )
  }
  const reportedIds = new Set(accounts.map(({ accountId }) => accountId))
  const accountStatuses = entries
    .map((entry) => ({ accountId: toStorableText(entry.accountId) ?? '', status: entry.status }))
    .filter(
      (each): each is AccountStatus =>
        reportedIds.has(each.accountId) && (each.status === 'closed' || each.status === 'updated')
    )
  return { accountStatuses, cycleMs: parseCycleMs(response) }
}

function toReportError({ status, headers, retryAfterMs }: HttpResponse, log: Logger): AppError {
  log.warn({
    event: 'personal_data_refused',
    status_code: status,
    trace_id: headers['atl-traceid']
  })
  const details = retryAfterMs === undefined ? {} : { retryAfterS: Math.ceil(retryAfterMs / 1000) }
  if (status === 401 || status === 403) {
    return new AppError(
      'scope_missing',
      `No connection may report accounts: enable the scope ${REPORT_SCOPE} on the app, ` +
        'then let a user connect again.'
    )
  }
  if (status === 429) {
    return new AppError(
      'upstream_rate_limited',
      'Atlassian limits the rate of account reports.',
      details
    )
  }
  return new AppError(
    status >= 500 ? 'upstream_failed' : 'upstream_refused',
    `Atlassian refused an account report (HTTP ${status}).`,
    details
  )
}

/** Parses the cycle, a number of days or an ISO 8601 period: the reference does not say which. */
function parseCycleMs({ headers }: HttpResponse): number {
  const [, days = DEFAULT_CYCLE_DAYS] =
    /^P?(\d{1,4})D?$/i.exec(String(headers['cycle-period'] ?? '')) ?? []
  return Math.min(Math.max(Number(days), 1), MAX_CYCLE_DAYS) * DAY_MS
}
