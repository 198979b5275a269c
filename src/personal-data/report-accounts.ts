import { AppError } from '../lib/errors.ts'
import type { Answer, Log } from '../lib/http-client.ts'
import { REPORT_SCOPE, type Ask } from '../providers/atlassian.ts'
import { isRecord, text } from '../lib/json.ts'
import type { KeptAccount } from '../store/repositories/privacy-reports.ts'

/** So many accounts may be told of at once (user privacy guide for app developers, "Reporting user personal data"). */
export const MOST_ACCOUNTS = 90
const DAY_MS = 86_400_000
/** Atlassian's usual cycle, for answers that do not name one. */
const CYCLE_DAYS = 7
const LONGEST_CYCLE_DAYS = 90

export type Verdict = { accountId: string; status: 'closed' | 'updated' }

/** What Atlassian said: which accounts something has to be done about, and when the others are due again, in milliseconds from now. */
export interface Reported {
  verdicts: Verdict[]
  cycleMs: number
}

/**
 * Tells Atlassian of some accounts.
 *
 * @throws AppError `scope_missing` where the app may not, `upstream_…` for every other answer than 200 and 204
 */
export async function report(
  ask: Ask,
  apiUrl: string,
  accounts: readonly KeptAccount[],
  log: Log
): Promise<Reported> {
  const url = `${apiUrl}/app/report-accounts/`
  const answer = await ask(url, {
    accounts: accounts.map(({ accountId, updatedAt }) => ({
      accountId,
      updatedAt: updatedAt.toISOString()
    }))
  })
  if (answer.status === 204) return { verdicts: [], cycleMs: cycleMs(answer) }
  if (answer.status !== 200) throw refusal(answer, log)
  const listed =
    isRecord(answer.body) && Array.isArray(answer.body.accounts)
      ? answer.body.accounts.filter(isRecord)
      : undefined
  if (listed === undefined) {
    throw new AppError(
      'upstream_invalid_answer',
      'Atlassian answered a report of accounts in a form this service does not know.'
    )
  }
  const asked = new Set(accounts.map(({ accountId }) => accountId))
  const verdicts = listed
    .map((entry) => ({ accountId: text(entry.accountId) ?? '', status: entry.status }))
    .filter(
      (each): each is Verdict =>
        asked.has(each.accountId) && (each.status === 'closed' || each.status === 'updated')
    )
  return { verdicts, cycleMs: cycleMs(answer) }
}

function refusal({ status, headers, retryAfterMs }: Answer, log: Log): AppError {
  log.warn({
    event: 'personal_data_refused',
    status_code: status,
    trace_id: headers['atl-traceid']
  })
  const extras = retryAfterMs === undefined ? {} : { retryAfterS: Math.ceil(retryAfterMs / 1000) }
  if (status === 401 || status === 403) {
    return new AppError(
      'scope_missing',
      `No connection may report accounts: enable the scope ${REPORT_SCOPE} on the app, and have somebody connect again.`
    )
  }
  if (status === 429) {
    return new AppError(
      'upstream_rate_limited',
      'Atlassian limits the rate of calls at the moment.',
      extras
    )
  }
  return new AppError(
    status >= 500 ? 'upstream_failed' : 'upstream_refused',
    `Atlassian refused a report of accounts (HTTP ${status}).`,
    extras
  )
}

/** A number of days, as itself or as an ISO 8601 period: the reference says neither. */
function cycleMs({ headers }: Answer): number {
  const [, days = CYCLE_DAYS] = /^P?(\d{1,4})D?$/i.exec(String(headers['cycle-period'] ?? '')) ?? []
  return Math.min(Math.max(Number(days), 1), LONGEST_CYCLE_DAYS) * DAY_MS
}
