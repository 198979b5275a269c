import { createHash } from 'node:crypto'

/** Derived, so that two consents of one account at one client meet in one row, and known before sealing, because it is sealed in. */
export function deriveGrantId(clientId: string, accountId: string): string {
  return createHash('sha256')
    .update(JSON.stringify([clientId, accountId]))
    .digest('hex')
    .slice(0, 32)
}
