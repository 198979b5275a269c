import { gatewayError } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { tokenServices, verifyAccessToken } from './tokens.ts'
import type { SandboxState } from '../state.ts'

const MAX_ACCOUNTS = 90
const REPORT_CYCLE_DAYS = 7

/**
 * POST /app/report-accounts/ (user privacy guide for app developers): 204 where nothing is to be done, else the accounts that were
 * closed, and those that were changed after `updatedAt`. The shapes of its refusals are not described; these are the gateway's.
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
      `1 to ${MAX_ACCOUNTS} accounts with accountId and updatedAt are wanted`
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
