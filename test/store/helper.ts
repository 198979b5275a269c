import type { Test } from 'tap'
import { createStore } from '../../src/store/index.ts'
import type { Engine } from '../../src/store/engine.ts'
import { TEST_SIGNER } from '../signatures.ts'
import { HOUR_MS } from '../time.ts'

export const START_MS = Date.UTC(2026, 10, 23)
export const createProject = (key: string, name = 'N') => ({ key, name, lead: null, url: null })
/** A project as Atlassian returns it, changed `changedMs` milliseconds after the start. */
export const createRemoteProject = (remoteId: string, key: string, changedMs?: number) => ({
  remoteId,
  item: {
    ...createProject(key),
    remoteUpdatedAt: changedMs === undefined ? null : new Date(START_MS + changedMs)
  }
})
export const createFlow = (stateHash: string, expiresAt: Date) => ({
  stateHash,
  provider: 'jira',
  clientId: 'c',
  redirectUri: 'https://a.example/cb',
  callerState: 'mine',
  returnUrl: null,
  scopes: 's',
  changeAccount: 0,
  browserHash: null,
  userId: null,
  quotaKey: 'somebody',
  initiator: '',
  expiresAt
})

/** A store on a new engine with a fixed clock. */
export async function createTestStore(t: Test, open: () => Engine | Promise<Engine>) {
  const engine = await open()
  t.teardown(() => engine.close())
  let now = START_MS
  const store = createStore(engine, () => now, TEST_SIGNER)
  return {
    engine,
    store,
    advanceTime: (ms: number) => {
      now += ms
    }
  }
}

export const TEST_SITE = {
  cloudId: '11111111-2222-3333-4444-555555555555',
  name: 'acme',
  url: 'https://acme.example'
}
export const createEncryptedTokens = (tokens: string, keyId = 'k1') => ({
  keyId,
  accessToken: `${tokens}-a`,
  refreshToken: `${tokens}-r`,
  previousRefreshToken: null
})
export const createGrant = (id: string, tokens = 'sealed', keyId = 'k1') => ({
  id,
  clientId: 'c',
  accountId: id,
  scopes: 'read:a read:b',
  ...createEncryptedTokens(tokens, keyId),
  accessExpiresAt: new Date(START_MS + HOUR_MS),
  dueAt: null
})
export const createNewConnection = (provider = 'jira', userId = 1) => ({
  userId,
  provider,
  sites: [TEST_SITE],
  selectedSites: [TEST_SITE],
  state: 'active' as const,
  reason: null,
  before: null
})
/** The input that reconnects an existing connection. */
export const createReconnection = (provider = 'jira', userId = 1, grantId = 'g') => ({
  ...createNewConnection(provider, userId),
  before: { grantId, state: 'active' as const }
})
export const createRefreshedTokens = (tokens: string) => ({
  ...createEncryptedTokens(tokens),
  accessExpiresAt: new Date(START_MS + 2 * HOUR_MS),
  previousUntil: null,
  rotatedAt: new Date(START_MS),
  dueAt: null,
  scopes: 'read:a'
})
export const LEASE_MS = 1_500
