import { gatewayError } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { tokenServices, verifyAccessToken } from './tokens.ts'
import type { SandboxState } from '../state.ts'

const MAX_ACCOUNTS = 90
const REPORT_CYCLE_DAYS = 7

/**
 * POST /app/report-accounts/
 * (https://developer.atlassian.com/platform/forge/user-privacy-guidelines/). Responds
 * 204 if there is nothing to do, otherwise with the accounts that were closed, or changed after
 * `updatedAt`. Its error format is not documented; these are the gateway's errors.
 */
export function answerAccountReport(
  state: SandboxState,
  token: string | undefined,
  body: unknown
): SandboxResponse {
  const session = verifyAccessToken(tokenServices(state), token)
  if (session === undefined) return gatewayError(401, 'Unauthorized')
  if (!session.scopes.includes('report:personal-data')) return gatewayError(403, 'Forbidden')
  const accounts = parseAccounts(body)
  if (accounts === undefined) {
    return gatewayError(
      400,
      `accounts must list 1 to ${MAX_ACCOUNTS} objects with accountId and updatedAt`
    )
  }
  const changedAccounts = accounts.flatMap(({ accountId, updatedAt }) => {
    const event = state.accounts.get(accountId)
    return event !== undefined && (event.status === 'closed' || event.at > updatedAt)
      ? [{ accountId, status: event.status }]
      : []
  })
  const headers = { 'Cycle-Period': String(REPORT_CYCLE_DAYS) }
  return changedAccounts.length === 0
    ? { status: 204, body: '', headers }
    : { status: 200, body: { accounts: changedAccounts }, headers }
}

function parseAccounts(body: unknown): Array<{ accountId: string; updatedAt: number }> | undefined {
  const { accounts } = (body ?? {}) as { accounts?: unknown }
  if (!Array.isArray(accounts) || accounts.length === 0 || accounts.length > MAX_ACCOUNTS) {
    return undefined
  }
  const parsed = accounts.map((entry: Record<string, unknown> | null) => ({
    accountId: String(entry?.accountId ?? ''),
    updatedAt: Date.parse(String(entry?.updatedAt))
  }))
  return parsed.some(({ accountId, updatedAt }) => accountId === '' || Number.isNaN(updatedAt))
    ? undefined
    : parsed
}
