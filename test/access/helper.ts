import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, SignJWT, type JWTPayload } from 'jose'
import { KEY, createSecret, displayPrefix } from '../../src/access/secrets.ts'
import { hashSecret } from '../../src/lib/secret.ts'
import type { Scope } from '../../src/access/rules.ts'
import type { FastifyInstance } from 'fastify'
import { DAY_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

export const ISSUER = 'https://id.example.com/'
export const AUDIENCE = 'connector'
export const PROTECTED_ENV = { API_ACCESS: 'protected' }
/** Browsers use https. */
export const HTTPS_ENV = {
  JIRA_OAUTH_REDIRECT_URI: 'https://app.example.com/auth/jira/callback',
  CONFLUENCE_OAUTH_REDIRECT_URI: 'https://app.example.com/auth/confluence/callback'
}

/** An API key with these scopes, as request headers. */
export async function createApiKey(
  app: FastifyInstance,
  scopes: Scope[],
  { name = `key-${Math.random()}`, expiresAt = new Date(Date.now() + DAY_MS) as Date | null } = {}
): Promise<{ secret: string; headers: { authorization: string } }> {
  const secret = createSecret(KEY)
  await app.store.apiKeys.create({
    name,
    hash: hashSecret(secret),
    prefix: displayPrefix(secret),
    scopes,
    expiresAt
  })
  return { secret, headers: buildBearerHeader(secret) }
}

export function buildBearerHeader(credential: string): { authorization: string } {
  return { authorization: `Bearer ${credential}` }
}

/** An identity provider that publishes keys, signs tokens and rotates keys. */
export async function startIdentityProvider(t: TestContext) {
  const keys = new Map<string, { publicKey: KeyObject; privateKey: KeyObject; alg: string }>()
  const addKey = (kid: string, kind: 'RS256' | 'ES256' | 'EdDSA' = 'ES256') => {
    const pair =
      kind === 'RS256'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : kind === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('ed25519')
    keys.set(kid, { ...pair, alg: kind })
  }
  addKey('first')
  const state = { requestCount: 0, isDown: false }
  const server = createServer((_request, response) => {
    state.requestCount++
    if (state.isDown) {
      response.writeHead(503).end()
      return
    }
    Promise.all(
      [...keys].map(async ([kid, { publicKey, alg }]) => ({
        ...(await exportJWK(publicKey)),
        kid,
        alg,
        use: 'sig'
      }))
    ).then(
      (all) => {
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: all }))
      },
      () => {
        response.destroy()
      }
    )
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const env = {
    JWT_ISSUER: ISSUER,
    JWT_AUDIENCE: AUDIENCE,
    JWT_JWKS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  }
  return {
    env,
    state,
    keys,
    add: addKey,
    sign: async (
      payload: JWTPayload,
      {
        kid = 'first',
        header = {},
        omit = []
      }: { kid?: string; header?: object; omit?: Array<keyof JWTPayload> } = {}
    ): Promise<string> => {
      const key = keys.get(kid)
      if (key === undefined) throw new Error('no such key')
      const seconds = Math.floor(Date.now() / 1000)
      const claims: JWTPayload = {
        iss: ISSUER,
        aud: AUDIENCE,
        iat: seconds,
        exp: seconds + 300,
        ...payload
      }
      for (const name of omit) delete claims[name]
      return await new SignJWT(claims)
        .setProtectedHeader({ alg: key.alg, kid, ...header })
        .sign(key.privateKey)
    }
  }
}
