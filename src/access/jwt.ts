import { createPublicKey, type KeyObject } from 'node:crypto'
import { decodeJwt, jwtVerify, errors, type JWTPayload } from 'jose'
import { isEmail, isStorableText } from '../lib/formats.ts'
import { AppError } from '../lib/errors.ts'
import type { Identity } from '../store/repositories/identities.ts'
import {
  COOLDOWN_MS,
  createRemoteKeySet,
  createUnavailableError,
  type KeySetTools
} from './key-set.ts'
import { createVerifiedTokens } from './verified-tokens.ts'

export interface JwtSettings {
  issuer: string
  audience: string
  /** URL of the provider's key set; null if a key was configured. */
  jwksUrl: string | null
  /** One key in PEM (SPKI). */
  publicKey: string | null
  /** From `iat`, or from now without one, to `exp`, in seconds. */
  maxLifetimeS: number
}

/** A verified token. */
interface VerifiedToken {
  identity: Identity
  /** When it stops being accepted, in ms since the epoch. */
  expiresAt: number
}

/**
 * Neither `none` nor shared secrets: only the holder of the private key can sign (RFC 8725
 * section 3.1).
 */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA']
const CLOCK_TOLERANCE_S = 30
/**
 * Kinds of JWT that are made to be presented here (RFC 8725 section 3.11, RFC 9068 section 2.1): not a
 * logout token, a security event, or a DPoP proof of the same issuer.
 */
const TYPES = ['jwt', 'at+jwt']
const MAX_TOKEN_LENGTH = 16_384
/** Verifies JWTs of the configured identity provider. */
export function createJwtVerifier(
  { issuer, audience, jwksUrl, publicKey, maxLifetimeS }: JwtSettings,
  tools: KeySetTools
) {
  const remoteKeys =
    publicKey === null ? createRemoteKeySet(new URL(jwksUrl ?? '').href, tools) : undefined
  const keys = remoteKeys?.findKey ?? createPublicKey(publicKey ?? '')
  const options = {
    issuer,
    audience,
    algorithms: typeof keys === 'function' ? ALGORITHMS : [algorithmForKey(keys)],
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ['sub', 'exp']
  }
  const verify = async (token: string) =>
    typeof keys === 'function'
      ? await jwtVerify(token, keys, options)
      : await jwtVerify(token, keys, options)

  const verifyOnce = createVerifiedTokens<VerifiedToken>(remoteKeys?.getCurrent ?? (() => keys))

  /**
   * @throws AppError `unauthenticated`, or `identity_provider_unavailable` while the token's key
   *   cannot be looked up
   */
  return async (token: string): Promise<VerifiedToken> => {
    if (token.length > MAX_TOKEN_LENGTH) throw invalidJwt()
    return await verifyOnce(token, verifyJwt)
  }

  async function verifyJwt(token: string): Promise<VerifiedToken> {
    try {
      // The key of a token that is refused anyway is not worth a download.
      const { iss, exp: unverifiedExp = 0 } = decodeJwt(token)
      if (iss !== issuer || unverifiedExp + CLOCK_TOLERANCE_S <= Date.now() / 1000) {
        throw invalidJwt()
      }
      const { payload, protectedHeader } = await verify(token)
      const { exp = 0, iat, cnf } = payload
      const nowS = Date.now() / 1000
      const isMadeForUs =
        isAcceptedType(protectedHeader.typ) &&
        // Bound to a key of the caller (RFC 7800, RFC 9449 section 6): a bearer of it proves nothing.
        cnf === undefined &&
        (iat ?? nowS) <= nowS + CLOCK_TOLERANCE_S &&
        exp - (iat ?? nowS) <= maxLifetimeS
      if (!isMadeForUs) throw invalidJwt()
      return {
        identity: toIdentity(issuer, payload),
        expiresAt: (exp + CLOCK_TOLERANCE_S) * 1000
      }
    } catch (error) {
      if (error instanceof AppError) throw error
      // A key that the provider publishes and that cannot be read is not the caller's fault.
      if (!(error instanceof errors.JOSEError)) throw createUnavailableError(COOLDOWN_MS, error)
      throw invalidJwt(error)
    }
  }
}

/** The one algorithm of a key type, so that a token cannot choose another. */
function algorithmForKey({ asymmetricKeyType }: KeyObject): string {
  return asymmetricKeyType === 'rsa' ? 'RS256' : asymmetricKeyType === 'ec' ? 'ES256' : 'EdDSA'
}

/** A media type may leave out `application/`, in any case (RFC 7515 section 4.1.9). */
function isAcceptedType(typ: string | undefined): boolean {
  return typ === undefined || TYPES.includes(typ.toLowerCase().replace(/^application\//, ''))
}

function toIdentity(
  issuer: string,
  { sub, email, email_verified: verified, name }: JWTPayload
): Identity {
  if (typeof sub !== 'string' || sub === '' || sub.length > 255 || !isStorableText(sub)) {
    throw invalidJwt()
  }
  return {
    issuer,
    subject: sub,
    email: verified === true && typeof email === 'string' && isEmail(email) ? email : null,
    displayName:
      typeof name === 'string' && name.length <= 200 && isStorableText(name) ? name : null
  }
}

function invalidJwt(cause?: unknown): AppError {
  return new AppError('unauthenticated', 'The credential is invalid or has expired.', {
    cause
  })
}
