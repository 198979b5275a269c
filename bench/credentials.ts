import { exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { createSecret } from '../src/access/secrets.ts'
import type { Credentials } from './scenarios.ts'

const ISSUER = 'https://login.example.com'
const AUDIENCE = 'connector'

/** Creates a service key, a JWT of the first user, and the settings of a service that accepts both. */
export async function createCredentials(): Promise<Credentials> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const apiKey = createSecret('jcck')
  return {
    apiKey,
    // The service finds the user by the verified address.
    jwt: await new SignJWT({ email: 'user-1@example.com', email_verified: true })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject('person-1')
      .setIssuedAt()
      .setExpirationTime('12h')
      .sign(privateKey),
    settings: {
      API_ACCESS: 'protected',
      BOOTSTRAP_API_KEY: apiKey,
      JWT_ISSUER: ISSUER,
      JWT_AUDIENCE: AUDIENCE,
      JWT_PUBLIC_KEY: (await exportSPKI(publicKey)).trim().replaceAll('\n', '\\n')
    }
  }
}
