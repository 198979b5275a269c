/** What a signature is for: one made for another purpose is not valid. */
export type SigningPurpose = 'audit row' | 'audit head' | 'connection'

/**
 * Signs what the database stores, so that somebody who can write to the database and has no vault
 * key cannot change it unnoticed. A signature is `<key id>.<HMAC-SHA256 in base64url>`.
 */
export interface Signer {
  /** The id of the key that signs. */
  readonly keyId: string
  /** @throws AppError `vault_key_missing` if this instance lacks the key that signs */
  sign: (purpose: SigningPurpose, text: string) => string
  /** False also if the key of the signature is unknown. */
  isValid: (purpose: SigningPurpose, text: string, signature: string) => boolean
  /** Whether signatures of this key can be verified. */
  hasKey: (keyId: string) => boolean
}

/** The key id that a signature names; undefined for a text that is no signature. */
export function parseSigningKeyId(signature: string): string | undefined {
  return /^([\w-]{1,32})\.[\w-]{43}$/.exec(signature)?.[1]
}
