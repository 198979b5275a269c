import { gatewayError } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { parts, readAccess } from './tokens.ts'
import type { World } from '../state.ts'

const MOST_ACCOUNTS = 90
const CYCLE_DAYS = 7

/**
 * POST /app/report-accounts/ (user privacy guide for app developers): 204 where nothing is to be done, else the accounts that were
 * closed, and those that were changed after `updatedAt`. The shapes of its refusals are not described; these are the gateway's.
 */
export function reportAccounts(world: World, token: string | undefined, body: unknown): Answer {
  const session = readAccess(parts(world), token)
  if (session === undefined) return gatewayError(401, 'Unauthorized')
  if (!session.scopes.includes('report:personal-data')) return gatewayError(403, 'Forbidden')
  const accounts = accountsOf(body)
  if (accounts === undefined) {
    return gatewayError(
      400,
      `1 to ${MOST_ACCOUNTS} accounts with accountId and updatedAt are wanted`
    )
  }
  const found = accounts.flatMap(({ accountId, updatedAt }) => {
    const event = world.accounts.get(accountId)
    return event !== undefined && (event.status === 'closed' || event.at > updatedAt)
      ? [{ accountId, status: event.status }]
      : []
  })
  const headers = { 'Cycle-Period': String(CYCLE_DAYS) }
  return found.length === 0
    ? { status: 204, body: '', headers }
    : { status: 200, body: { accounts: found }, headers }
}

function accountsOf(body: unknown): Array<{ accountId: string; updatedAt: number }> | undefined {
  const { accounts } = (body ?? {}) as { accounts?: unknown }
  if (!Array.isArray(accounts) || accounts.length === 0 || accounts.length > MOST_ACCOUNTS) {
    return undefined
  }
  const read = accounts.map((entry: Record<string, unknown> | null) => ({
    accountId: String(entry?.accountId ?? ''),
    updatedAt: Date.parse(String(entry?.updatedAt))
  }))
  return read.some(({ accountId, updatedAt }) => accountId === '' || Number.isNaN(updatedAt))
    ? undefined
    : read
}
