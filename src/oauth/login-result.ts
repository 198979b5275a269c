import { hashSecret, isSameHash } from '../lib/secret.ts'
import type { Store } from '../store/index.ts'
import type { ConnectionWithGrant } from '../store/repositories/connections.ts'
import type { StoredOutcome } from './login-outcome.ts'

/** How long a browser may see, and complete, the connection that its login made. */
export const RESULT_TTL_MS = 30 * 60_000
/** Binding secrets of one browser that are looked up. */
const MAX_SECRETS = 20
/** A connection that is this much younger than the login was made by another one. */
const MAX_CONNECT_MS = 60_000

/** A login that a browser has completed. */
export interface LoginResult {
  current: ConnectionWithGrant
  /** Cloud ids that the consent added to those of an earlier one. */
  newSites: string[]
  /** Who started the login, serialised by src/lib/actor.ts. */
  initiator: string
  /** Proves that a form was served to this browser. */
  formToken: string
}

/** Finds the latest login of a product that succeeded in the browser with these binding secrets. */
export async function findLoginResult(
  { loginFlows, connections }: Pick<Store, 'loginFlows' | 'connections'>,
  secrets: readonly string[],
  provider: string
): Promise<LoginResult | undefined> {
  const secretsByHash = new Map(
    secrets.slice(0, MAX_SECRETS).map((secret) => [hashSecret(secret), secret])
  )
  if (secretsByHash.size === 0) return undefined
  const flows = await loginFlows.listFinished([...secretsByHash.keys()], RESULT_TTL_MS)
  for (const { provider: product, outcome, browserHash, claimedAt, initiator } of flows) {
    const stored = JSON.parse(outcome ?? '{}') as StoredOutcome
    if (product !== provider || !('userId' in stored)) continue
    const current = await connections.get(stored.userId, provider)
    const connectedAt = current?.connection.connectedAt.getTime() ?? Infinity
    if (current === undefined || connectedAt - (claimedAt?.getTime() ?? 0) > MAX_CONNECT_MS) {
      return undefined
    }
    const secret = secretsByHash.get(browserHash ?? '') ?? ''
    const formToken = hashSecret(`form ${secret}`)
    return { current, newSites: stored.newSites ?? [], initiator, formToken }
  }
  return undefined
}

/** Whether a form was served to the browser of this login. */
export function isOwnForm({ formToken }: LoginResult, token: string): boolean {
  return isSameHash(formToken, token)
}
