import { signConnection } from '../src/store/repositories/connection-signatures.ts'
import { parseKeyring } from '../src/vault/keyring.ts'
import { createSigner } from '../src/vault/signer.ts'
import type { Signer } from '../src/model/signer.ts'
import { queryDatabase } from './database.ts'
import { VAULT_KEY } from './helper.ts'

/** The signer of services whose VAULT_KEYS is `keys`. */
export function createTestSigner(keys: string): Signer {
  const { keyring } = parseKeyring(keys)
  if (keyring === undefined) throw new Error('Not a keyring')
  return createSigner(keyring)
}

/** The signer of services with the settings of `buildTestApp`. */
export const TEST_SIGNER = createTestSigner(VAULT_KEY)

/** Signs all connections as they are, after a test has prepared rows that no service writes. */
export async function signConnections(url: string, signer = TEST_SIGNER): Promise<void> {
  for (const row of await queryDatabase(url, 'select * from connections')) {
    const signature = signConnection(signer, {
      userId: Number(row.user_id),
      provider: row.provider,
      grantId: row.grant_id,
      sites: row.sites,
      selectedSites: row.bound,
      refusedFeatures: row.refused,
      state: row.state
    })
    await queryDatabase(url, 'update connections set signature = ? where id = ?', signature, row.id)
  }
}
