import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { parseKeyring } from '../../src/vault/keyring.ts'
import { createVault } from '../../src/vault/vault.ts'
import { queryDatabase } from '../database.ts'
import { VAULT_KEY } from '../helper.ts'
import { dropAuditTriggers } from './helper.ts'

const COLUMNS = [
  'seq',
  'at',
  'actor',
  'actor_id',
  'actor_name',
  'action',
  'user_id',
  'connection_id',
  'product',
  'ip',
  'request_id',
  'detail'
]
const NUMBERS = ['seq', 'at', 'actor_id', 'user_id', 'connection_id']
const TOKENS = ['access_token', 'refresh_token', 'previous_refresh_token']

/**
 * Takes every signature from a database, as a version that did not sign would have written it; so
 * does somebody who wants their changes to be signed by the next start.
 */
export async function removeSignatures(url: string): Promise<void> {
  await dropAuditTriggers(url)
  let hash = ''
  for (const row of await queryDatabase(url, 'select * from audit order by seq')) {
    const values = COLUMNS.map((name) =>
      NUMBERS.includes(name) && row[name] !== null ? Number(row[name]) : row[name]
    )
    hash = createHash('sha256')
      .update(JSON.stringify([hash, ...values]))
      .digest('base64url')
    await queryDatabase(url, 'update audit set hash = ? where seq = ?', hash, row.seq)
  }
  await queryDatabase(url, "update audit_head set signature = '', hash = ?", hash)
  await queryDatabase(url, "update connections set signature = ''")
  await queryDatabase(url, 'update vault_keys set signing_key = null')
}

/** Writes all tokens in the format of versions that did not sign, which takes the vault key. */
export async function writeLegacyTokens(url: string): Promise<void> {
  const { keyring } = parseKeyring(VAULT_KEY)
  if (keyring === undefined) throw new Error('Not a keyring')
  const { id: keyId, key } = keyring.current
  const vault = createVault(keyring)
  for (const row of await queryDatabase(url, 'select * from grants')) {
    for (const column of TOKENS.filter((name) => row[name] !== null)) {
      const place = `grants/${row.id}/${column}`
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      cipher.setAAD(Buffer.from(`v1|${keyId}|${place}`))
      const bytes = Buffer.concat([
        nonce,
        cipher.update(vault.decrypt(row[column], place), 'utf8'),
        cipher.final(),
        cipher.getAuthTag()
      ])
      await queryDatabase(
        url,
        `update grants set ${column} = ? where id = ?`,
        `v1.${keyId}.${bytes.toString('base64url')}`,
        row.id
      )
    }
  }
}
