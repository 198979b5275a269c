import { createHash } from 'node:crypto'

/**
 * Derives the id, so that two consents of one account at one client share a row. It must be
 * known before encryption, because it is part of the additional authenticated data.
 */
export function deriveGrantId(clientId: string, accountId: string): string {
  return createHash('sha256')
    .update(JSON.stringify([clientId, accountId]))
    .digest('hex')
    .slice(0, 32)
}
