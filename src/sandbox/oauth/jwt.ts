import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export const TOKEN_FORMATS = ['jwt', 'opaque'] as const
type TokenFormat = (typeof TOKEN_FORMATS)[number]
type JwtClaims = Record<string, unknown>

/** Signs and verifies the JWTs used as codes and tokens. The key exists in this process only. */
export interface JwtSigner {
  sign: (claims: JwtClaims) => string
  /** Later strings are JWTs, or random and without contents. */
  setFormat: (format: TokenFormat) => void
  /** @returns undefined if the string was not signed here */
  verify: (token: string) => JwtClaims | undefined
}

/** Padding in bytes, so that tokens are as large as Atlassian's: 1.5 to 3 KB. */
const PADDING_BYTES = 900
const OPAQUE_BYTES = 96
const MAX_OPAQUE = 100_000

export function createJwtSigner(): JwtSigner {
  const key = randomBytes(32)
  const opaqueClaims = new Map<string, JwtClaims>()
  let format: TokenFormat = 'jwt'
  const header = encodeJson({ kid: 'auth.atlassian.com-ACCESS-sandbox', alg: 'HS256' })
  const computeSignature = (text: string) => createHmac('sha256', key).update(text).digest()

  function signOpaque(claims: JwtClaims): string {
    const token = randomBytes(OPAQUE_BYTES).toString('base64url')
    opaqueClaims.set(token, claims)
    const [oldest] = opaqueClaims.keys()
    if (opaqueClaims.size > MAX_OPAQUE && oldest !== undefined) opaqueClaims.delete(oldest)
    return token
  }

  return {
    setFormat: (newFormat) => {
      format = newFormat
    },
    sign: (claims) => {
      if (format === 'opaque') return signOpaque(claims)
      const padded = {
        ...claims,
        'https://id.atlassian.com/session_id': randomBytes(PADDING_BYTES).toString('base64url')
      }
      const text = `${header}.${encodeJson(padded)}`
      return `${text}.${computeSignature(text).toString('base64url')}`
    },
    verify: (token) => {
      const known = opaqueClaims.get(token)
      if (known !== undefined) return known
      const [head, payload, tail, ...more] = token.split('.')
      if (payload === undefined || tail === undefined || more.length > 0) return undefined
      const actual = Buffer.from(tail, 'base64url')
      const expected = computeSignature(`${head}.${payload}`)
      if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) return undefined
      return JSON.parse(Buffer.from(payload, 'base64url').toString()) as JwtClaims
    }
  }
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
