import type { Grant } from '../src/store/repositories/grants.ts'
import { NOW_MS } from './explain-fill.ts'
import { DAY_MS, HOUR_MS, now, SMALL_OWNER_ID, type HotQuery } from './explain-query.ts'

const REASON = { code: 'x', detail: 'X.' } as const
const UNUSED_LEASE = 'nobody'
const encryptedTokenFields = {
  keyId: 'k1',
  accessToken: 'a',
  refreshToken: 'r',
  previousRefreshToken: null
}
const refreshedTokens = {
  ...encryptedTokenFields,
  scopes: 's',
  accessExpiresAt: now,
  previousUntil: null,
  rotatedAt: now,
  dueAt: now
}
const loginFlow = {
  stateHash: 'new',
  provider: 'jira',
  clientId: 'client',
  redirectUri: 'r',
  callerState: null,
  returnUrl: null,
  scopes: '',
  changeAccount: 0,
  browserHash: null,
  userId: null,
  quotaKey: 'somebody',
  initiator: '',
  expiresAt: now
}
const buildAttempt = (id: string) => ({ id, version: 1, owner: 'me' })
const buildGrant = (id: string) => ({ id, clientId: 'client', accountId: id, ...refreshedTokens })
const newConnection = {
  userId: SMALL_OWNER_ID,
  provider: 'jira',
  sites: [],
  selectedSites: [],
  state: 'active' as const,
  reason: null,
  before: null
}

export const userQueries: HotQuery[] = [
  { name: 'users: by id', execute: ({ users }) => users.get(SMALL_OWNER_ID) },
  { name: 'users: by address', execute: ({ users }) => users.find('person.77@example.com') },
  { name: 'users: first', execute: ({ users }) => users.findFirst() },
  { name: 'users: list', execute: ({ users }) => users.list(100, SMALL_OWNER_ID) },
  { name: 'users: create', execute: ({ users }) => users.findOrCreate('new@example.com', null) },
  // With a maximum of 1, every start deletes the caller's others.
  { name: 'flows: start and sweep', execute: ({ loginFlows }) => loginFlows.start(loginFlow, 1) },
  { name: 'flows: get', execute: ({ loginFlows }) => loginFlows.get('new') },
  { name: 'flows: claim', execute: ({ loginFlows }) => loginFlows.claim('new', 'code') },
  {
    name: 'flows: delete for a user',
    execute: async (store) => {
      const forgetting = await store.loginFlows.deleteForUserStatement({
        id: SMALL_OWNER_ID,
        email: 'a@b.co'
      })
      return await store.batch((tx) => [forgetting(tx)])
    }
  },
  {
    name: 'connections: get',
    execute: ({ connections }) => connections.get(SMALL_OWNER_ID, 'confluence')
  },
  { name: 'connections: list', execute: ({ connections }) => connections.list(SMALL_OWNER_ID) },
  {
    name: 'connections: of a grant',
    execute: ({ connections }) => connections.listByGrant('grant-77')
  },
  {
    name: 'connections: scopes that others hold',
    execute: ({ connections }) =>
      connections.findScopesOfOtherConnections(SMALL_OWNER_ID, 'client', 'confluence')
  },
  {
    name: 'fleet: connections, first page',
    execute: ({ fleet }) => fleet.listConnections({}, 100)
  },
  {
    name: 'fleet: connections, a later page',
    execute: ({ fleet }) => fleet.listConnections({ product: 'jira' }, 100, 500)
  },
  {
    name: 'fleet: connections that need a site',
    execute: ({ fleet }) => fleet.listConnections({ state: 'needs_site' }, 100)
  },
  {
    name: 'fleet: connections that need a consent',
    execute: ({ fleet }) => fleet.listConnections({ state: 'needs_reconnect' }, 100)
  },
  {
    name: 'fleet: connections by text',
    execute: ({ fleet }) => fleet.listConnections({ text: 'person.77@' }, 100)
  },
  {
    name: 'fleet: counts',
    execute: ({ fleet }) => fleet.countConnections({})
  },
  {
    name: 'connections: history',
    execute: ({ connectionHistory }) => connectionHistory.list(SMALL_OWNER_ID, 50)
  },
  {
    name: 'connect',
    execute: ({ grants }) => grants.connect(buildGrant('another'), newConnection)
  },
  { name: 'disconnect', execute: ({ connections }) => connections.remove(SMALL_OWNER_ID, 'jira') }
]

export const tokenQueries: HotQuery[] = [
  { name: 'grants: get', execute: ({ grants }) => grants.get('grant-77') },
  {
    name: 'grants: begin a refresh',
    execute: ({ grants }) => grants.beginRefresh(buildAttempt('grant-77'), 0, 30_000, now, '')
  },
  {
    name: 'grants: save a refresh',
    execute: async ({ grants }) => {
      await grants.beginRefresh(buildAttempt('grant-78'), 0, 30_000, now)
      await grants.saveTokens(buildAttempt('grant-78'), refreshedTokens)
    }
  },
  {
    name: 'grants: a failed refresh',
    execute: async ({ grants }) => {
      await grants.beginRefresh(buildAttempt('grant-79'), 0, 30_000, now)
      await grants.saveFailure(buildAttempt('grant-79'), {
        to: 'degraded',
        reason: REASON,
        set: {}
      })
    }
  },
  {
    name: 'grants: find the refresh lease',
    execute: ({ grants }) => grants.findRefreshLease('grant-77')
  },
  { name: 'grants: due', execute: ({ grants }) => grants.listDue(now, 100) },
  {
    name: 'grants: due, from a cursor',
    execute: ({ grants }) =>
      grants.listDue(now, 100, { id: 'grant-5', dueAt: new Date(NOW_MS - HOUR_MS) })
  },
  {
    name: 'grants: erase previous tokens',
    execute: ({ grants }) => grants.erasePreviousTokens(now)
  },
  {
    name: 'grants: claim expiry warnings',
    execute: ({ grants }) => grants.claimExpiryWarning(7, new Date(NOW_MS - 358 * DAY_MS), 100)
  },
  {
    name: 'grants: client configured again',
    execute: ({ grants }) => grants.markClientConfigured('client')
  },
  { name: 'start: retry', execute: ({ grants }) => grants.retryMisconfigured() },
  {
    name: 'start: known clients',
    execute: ({ grants }) => grants.syncConfiguredClients(['client'], REASON)
  },
  { name: 'start: grants per key', execute: ({ encryptedTokens }) => encryptedTokens.countByKey() },
  {
    name: 'encrypted: with a key',
    execute: ({ encryptedTokens }) => encryptedTokens.listEncryptedWith('old', 100)
  },
  {
    name: 'encrypted: with another key',
    execute: ({ encryptedTokens }) => encryptedTokens.listEncryptedWithOtherKey('k1', '', 100)
  },
  {
    name: 'encrypted: with another key, none left',
    execute: ({ encryptedTokens }) =>
      encryptedTokens.listEncryptedWithOtherKey('k1', 'grant-99', 100)
  },
  {
    name: 'encrypted: replace',
    execute: async ({ grants, encryptedTokens }) => {
      const old = (await grants.get('grant-80')) as Grant
      await encryptedTokens.replace([{ id: old.id, old, fresh: { ...encryptedTokenFields } }])
    }
  },
  {
    name: 'keys: list, count',
    execute: async ({ vaultKeys }) => {
      await vaultKeys.list()
      await vaultKeys.addUses('k1', 1)
    }
  },
  {
    name: 'leases: acquire, find, release',
    execute: async (store) => {
      await store.batch((tx) => [store.leases.acquireStatement(tx, UNUSED_LEASE, 'me', 1_000)])
      await store.leases.findHolder(UNUSED_LEASE)
      await store.batch((tx) => [store.leases.releaseStatement(tx, UNUSED_LEASE, 'me')])
    }
  }
]
