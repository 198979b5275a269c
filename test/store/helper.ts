import type { Test } from 'tap'
import { createStore } from '../../src/store/index.ts'
import type { Engine } from '../../src/store/engine.ts'

export const HOUR_MS = 3_600_000
export const START = Date.UTC(2026, 10, 23)
export const project = (key: string, name = 'N') => ({ key, name, lead: null, url: null })
/** A project as Atlassian has it; changed there at that moment, in milliseconds after the start. */
export const remote = (remoteId: string, key: string, changed?: number) => ({
  remoteId,
  item: {
    ...project(key),
    remoteUpdatedAt: changed === undefined ? null : new Date(START + changed)
  }
})
export const flow = (stateHash: string, expiresAt: Date) => ({
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
  opener: 'somebody',
  startedBy: '',
  expiresAt
})

/** A store on an engine of its own, whose time stands still. */
export async function freshStore(t: Test, open: () => Engine | Promise<Engine>) {
  const engine = await open()
  t.teardown(() => engine.close())
  let now = START
  const store = createStore(engine, () => now)
  return {
    engine,
    store,
    pass: (ms: number) => {
      now += ms
    }
  }
}

export const SITE = {
  cloudId: '11111111-2222-3333-4444-555555555555',
  name: 'acme',
  url: 'https://acme.example'
}
export const sealed = (tokens: string, keyId = 'k1') => ({
  keyId,
  accessToken: `${tokens}-a`,
  refreshToken: `${tokens}-r`,
  previousRefreshToken: null
})
export const grant = (id: string, tokens = 'sealed', keyId = 'k1') => ({
  id,
  clientId: 'c',
  accountId: id,
  scopes: 'read:a read:b',
  ...sealed(tokens, keyId),
  accessExpiresAt: new Date(START + HOUR_MS),
  dueAt: null
})
export const connecting = (provider = 'jira', userId = 1) => ({
  userId,
  provider,
  sites: [SITE],
  bound: [SITE],
  state: 'active' as const,
  reason: null,
  before: null
})
/** The same again, for one that is there. */
export const reconnecting = (provider = 'jira', userId = 1, grantId = 'g') => ({
  ...connecting(provider, userId),
  before: { grantId, state: 'active' as const }
})
export const fresh = (tokens: string) => ({
  ...sealed(tokens),
  accessExpiresAt: new Date(START + 2 * HOUR_MS),
  previousUntil: null,
  rotatedAt: new Date(START),
  dueAt: null,
  scopes: 'read:a'
})
export const LEASE_MS = 1_500
export const pause = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms))
