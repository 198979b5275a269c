import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export type Claims = Record<string, unknown>

/** Signs and reads the JWT-shaped strings that serve as codes and tokens. The key dies with the world. */
export interface Signer {
  sign: (claims: Claims) => string
  /** @returns undefined when the string was not signed here */
  read: (token: string) => Claims | undefined
}

/** Bytes of ballast, so that tokens have the size of real ones: 1.5 to 3 KB. */
const PADDING = 900

export function createSigner(): Signer {
  const key = randomBytes(32)
  const header = encode({ kid: 'auth.atlassian.com-ACCESS-sandbox', alg: 'HS256' })
  const signature = (text: string) => createHmac('sha256', key).update(text).digest()

  return {
    sign: (claims) => {
      const padded = {
        ...claims,
        'https://id.atlassian.com/session_id': randomBytes(PADDING).toString('base64url')
      }
      const text = `${header}.${encode(padded)}`
      return `${text}.${signature(text).toString('base64url')}`
    },
    read: (token) => {
      const [head, payload, tail, ...more] = token.split('.')
      if (tail === undefined || more.length > 0) return undefined
      const given = Buffer.from(tail, 'base64url')
      const right = signature(`${head}.${payload}`)
      if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
      return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims
    }
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
