import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import { HOUR_MS } from '../time.ts'
import {
  createNewConnection,
  createRefreshedTokens,
  createTestStore,
  createGrant,
  LEASE_MS,
  createReconnection,
  createEncryptedTokens,
  START_MS
} from './helper.ts'

/** Store contract of every engine: tokens, refresh leases and keys. */
export function defineGrantsContract(t: Test, open: () => Engine | Promise<Engine>): void {
  const openStore = async (t: Test) => await createTestStore(t, open)

  t.test(
    'A10 grants: one of fifty workers gets the refresh lease, and only that worker can save',
    async (t) => {
      const {
        store: { users, grants }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      await grants.connect(createGrant('g'), createNewConnection())
      const begin = async (owner: string, version = 1, failures = 0, stale?: string) =>
        await grants.beginRefresh(
          { id: 'g', version, owner },
          failures,
          LEASE_MS,
          new Date(START_MS + HOUR_MS),
          stale
        )
      const results = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => await begin(`o${i}`))
      )
      const winner = results.indexOf(true)
      t.equal(results.filter(Boolean).length, 1)
      t.match(
        await grants.get('g'),
        { attemptAt: new Date(START_MS), dueAt: new Date(START_MS + HOUR_MS) },
        'the attempt is recorded'
      )
      t.match(await grants.findRefreshLease('g'), { owner: `o${winner}`, isExpired: false })
      for (const i of [winner + 1, winner - 1]) {
        t.same(
          await grants.saveTokens(
            { id: 'g', version: 1, owner: `o${i}` },
            createRefreshedTokens('stolen')
          ),
          {
            done: false,
            changes: []
          }
        )
      }
      t.match(await grants.get('g'), { accessToken: 'sealed-a', version: 1 })
      t.equal(
        (
          await grants.saveTokens(
            { id: 'g', version: 1, owner: `o${winner}` },
            createRefreshedTokens('new')
          )
        ).done,
        true
      )
      t.match(await grants.get('g'), {
        accessToken: 'new-a',
        refreshToken: 'new-r',
        version: 2,
        attemptAt: null,
        scopes: 'read:a'
      })
      t.equal(await grants.findRefreshLease('g'), undefined, 'the lease is released')
      t.equal(
        (
          await grants.saveTokens(
            { id: 'g', version: 1, owner: `o${winner}` },
            createRefreshedTokens('again')
          )
        ).done,
        false
      )
      t.equal(await begin('late', 1), false, 'no refresh starts from an old token pair')
      t.equal(await begin('failed', 2, 1), false, 'nor with an old failure count')
      t.equal(
        await grants.beginRefresh(
          { id: 'nobody', version: 1, owner: 'o' },
          0,
          LEASE_MS,
          new Date()
        ),
        false
      )
    }
  )

  t.test(
    'A12 grants: another worker takes an expired or stale lease; the late worker changes nothing',
    async (t) => {
      const {
        store: { users, grants }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      await grants.connect(createGrant('g'), createNewConnection())
      const attempt = (owner: string) => ({ id: 'g', version: 1, owner })
      const begin = async (owner: string, stale?: string) =>
        await grants.beginRefresh(attempt(owner), 0, LEASE_MS, new Date(START_MS), stale)
      t.equal(await begin('dead'), true)
      t.equal(await begin('next'), false)
      await sleep(LEASE_MS + 50)
      t.match(await grants.findRefreshLease('g'), { owner: 'dead', isExpired: true })
      t.equal(await begin('next'), true)
      t.equal(await begin('third', 'dead'), false, 'the stale lease is taken already')
      t.equal(await begin('third', 'next'), true)
      for (const late of ['dead', 'next']) {
        t.equal((await grants.saveTokens(attempt(late), createRefreshedTokens('late'))).done, false)
        t.equal(
          (
            await grants.saveFailure(attempt(late), {
              to: 'needs_reconnect',
              reason: { code: 'needs_reconnect', detail: 'No.' },
              set: {}
            })
          ).done,
          false
        )
      }
      t.match(await grants.get('g'), { state: 'active', accessToken: 'sealed-a', version: 1 })
      t.equal(
        (await grants.saveTokens(attempt('third'), createRefreshedTokens('third'))).done,
        true
      )
    }
  )

  t.test(
    'grants: finds due grants, most urgent first; warns once; forgets old tokens',
    async (t) => {
      const {
        store: { users, grants },
        advanceTime
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      for (const [i, name] of ['soon', 'later', 'never', 'dead', 'waiting'].entries()) {
        await users.findOrCreate(`u${i}@b.co`, null)
        await grants.connect(
          {
            ...createGrant(name),
            dueAt: name === 'never' ? null : new Date(START_MS + (name === 'later' ? 2 : 1) * 1000)
          },
          createNewConnection('jira', i + 1)
        )
      }
      await grants.changeState('dead', 1, 'needs_reconnect', { code: 'x', detail: 'X.' })
      await grants.markClientMisconfigured(
        'nobody',
        { code: 'x', detail: 'X.' },
        new Date(START_MS)
      )
      await grants.beginRefresh(
        { id: 'waiting', version: 1, owner: 'o' },
        0,
        LEASE_MS,
        new Date(START_MS + 1000)
      )
      await grants.saveFailure(
        { id: 'waiting', version: 1, owner: 'o' },
        {
          to: 'degraded',
          reason: { code: 'x', detail: 'X.' },
          set: { failures: 1, nextTryAt: new Date(START_MS + HOUR_MS) }
        }
      )
      const due = async (after: number, limit = 10, from?: { id: string; dueAt: Date }) =>
        (await grants.listDue(new Date(START_MS + after), limit, from)).map(({ id }) => id)
      t.same(await due(0), [])
      t.same(await due(2000), ['soon', 'later'])
      t.same(await due(2000, 1), ['soon'])
      t.same(await due(HOUR_MS), ['soon', 'waiting', 'later'])
      for (const [i, one] of (await grants.listDue(new Date(START_MS + HOUR_MS), 10)).entries()) {
        t.same(await due(HOUR_MS, 10, one), ['soon', 'waiting', 'later'].slice(i + 1))
      }
      await grants.scheduleRefresh('never', new Date(START_MS + 500))
      await grants.scheduleRefresh('soon', new Date(START_MS + 5000))
      t.same(await due(2000), ['never', 'soon', 'later'])
      advanceTime(HOUR_MS)
      const turns = await Promise.all(
        Array.from(
          { length: 10 },
          async () => await grants.claimExpiryWarning(30, new Date(START_MS), 100)
        )
      )
      t.equal(turns.flat().length, 4, 'each once for all callers, without the expired one')
      t.equal((await grants.claimExpiryWarning(7, new Date(START_MS), 3)).length, 3)
      t.equal((await grants.claimExpiryWarning(7, new Date(START_MS), 3)).length, 1)
      t.equal(
        (await grants.claimExpiryWarning(30, new Date(START_MS), 3)).length,
        0,
        'a later warning includes the earlier'
      )
      await grants.beginRefresh(
        { id: 'soon', version: 1, owner: 'o' },
        0,
        LEASE_MS,
        new Date(START_MS)
      )
      await grants.saveTokens(
        { id: 'soon', version: 1, owner: 'o' },
        {
          ...createRefreshedTokens('n'),
          previousRefreshToken: 'old',
          previousUntil: new Date(START_MS + 2 * HOUR_MS)
        }
      )
      await grants.erasePreviousTokens(new Date(START_MS + HOUR_MS))
      t.match(await grants.get('soon'), { previousRefreshToken: 'old' })
      await grants.erasePreviousTokens(new Date(START_MS + 2 * HOUR_MS))
      t.match(await grants.get('soon'), { previousRefreshToken: null, previousUntil: null })
    }
  )

  t.test(
    'grants: marks a misconfigured client on all its grants at once, and clears it at once',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await openStore(t)
      for (const [i, name] of ['a', 'b', 'other', 'dead'].entries()) {
        await users.findOrCreate(`u${i}@b.co`, null)
        await grants.connect(
          { ...createGrant(name), clientId: name === 'other' ? 'd' : 'c' },
          createNewConnection('jira', i + 1)
        )
      }
      await grants.changeState('dead', 1, 'needs_reconnect', { code: 'x', detail: 'X.' })
      const states = async () =>
        await Promise.all(
          [1, 2, 3, 4].map(async (id) => (await connections.get(id, 'jira'))?.state)
        )
      t.equal(
        (
          await grants.markClientMisconfigured(
            'c',
            { code: 'x', detail: 'X.' },
            new Date(START_MS + 1000)
          )
        ).length,
        2
      )
      t.same(await states(), ['misconfigured', 'misconfigured', 'active', 'needs_reconnect'])
      t.equal(
        (
          await grants.markClientMisconfigured(
            'c',
            { code: 'x', detail: 'X.' },
            new Date(START_MS + 9000)
          )
        ).length,
        0,
        'known already'
      )
      t.match(await grants.get('a'), { nextTryAt: new Date(START_MS + 9000), failures: 2 })
      await grants.retryMisconfigured()
      t.match(await grants.get('a'), { nextTryAt: null })
      t.equal((await grants.markClientConfigured('c')).length, 2)
      t.same(await states(), ['active', 'active', 'active', 'needs_reconnect'])
    }
  )

  t.test(
    'B5 grants: re-encryption replaces exactly the columns it read, and none that have changed since',
    async (t) => {
      const {
        store: { users, grants, encryptedTokens }
      } = await openStore(t)
      for (let i = 0; i < 5; i++) {
        await users.findOrCreate(`u${i}@b.co`, null)
        await grants.connect(
          createGrant(`g${i}`, 'old', i === 4 ? 'k2' : 'k1'),
          createNewConnection('jira', i + 1)
        )
      }
      t.same(
        await encryptedTokens.countByKey(),
        new Map([
          ['k1', 4],
          ['k2', 1]
        ])
      )
      const batch = await encryptedTokens.listEncryptedWithOtherKey('k2', 'g0', 2)
      t.same(
        batch.map(({ id }) => id),
        ['g1', 'g2']
      )
      await grants.connect(createGrant('g2', 'newer'), createReconnection('jira', 3, 'g2'))
      t.equal(
        await encryptedTokens.replace(
          batch.map((old) => ({ id: old.id, old, fresh: createEncryptedTokens('resealed', 'k2') }))
        ),
        1
      )
      t.match(
        [await grants.get('g1'), await grants.get('g2')],
        [
          { accessToken: 'resealed-a', keyId: 'k2', version: 1 },
          { accessToken: 'newer-a', keyId: 'k1', version: 2 }
        ]
      )
      await encryptedTokens.markDamaged({ id: 'g3', accessToken: 'another' })
      t.same(
        await encryptedTokens.countByKey(),
        new Map([
          ['k1', 3],
          ['k2', 2]
        ])
      )
      await encryptedTokens.markDamaged({ id: 'g3', accessToken: 'old-a' })
      t.same(
        await encryptedTokens.countByKey(),
        new Map([
          ['k1', 2],
          ['k2', 2]
        ]),
        'damaged rows do not block key removal'
      )
      await encryptedTokens.markEncryptedWith('g3', 'old-a', 'k1')
      t.same(
        await encryptedTokens.countByKey(),
        new Map([
          ['k1', 3],
          ['k2', 2]
        ]),
        'until it decrypts again'
      )
      await encryptedTokens.markDamaged({ id: 'g3', accessToken: 'old-a' })
      t.equal((await encryptedTokens.listEncryptedWith('k1', 10)).length, 2)
    }
  )

  t.test('keys: registers each key once and adds up its uses', async (t) => {
    const {
      store: { vaultKeys }
    } = await openStore(t)
    await vaultKeys.register('k1', 'proof')
    await vaultKeys.register('k1', 'another proof')
    t.equal(await vaultKeys.addUses('k1', 3), 4, 'the proof is the first use')
    t.equal(await vaultKeys.addUses('k1', 4), 8)
    t.same(await vaultKeys.list(), [
      { id: 'k1', proof: 'proof', uses: 8, signingKey: null, promotion: null, promotedBy: null }
    ])
  })

  t.test(
    'A10 grants: a refresh that began before a consent saves nothing, even if the grant was deleted since',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      await grants.connect(createGrant('g'), createNewConnection())
      const late = { id: 'g', version: 1, owner: 'late' }
      t.equal(await grants.beginRefresh(late, 0, 60_000, new Date(START_MS)), true)
      await connections.remove(1, 'jira')
      await grants.connect(createGrant('g', 'again'), createNewConnection())
      t.match(await grants.get('g'), { version: 1 })
      t.equal((await grants.saveTokens(late, createRefreshedTokens('late'))).done, false)
      t.equal(
        (
          await grants.saveFailure(late, {
            to: 'needs_reconnect',
            reason: { code: 'needs_reconnect', detail: 'No.' },
            set: {}
          })
        ).done,
        false
      )
      t.match(await grants.get('g'), { accessToken: 'again-a', state: 'active' })
    }
  )

  t.test(
    'grants: only a new consent helps after the client is removed; its grants work again when it returns',
    async (t) => {
      const {
        store: { users, grants }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      await users.findOrCreate('b@b.co', null)
      await grants.connect(createGrant('g'), createNewConnection())
      await grants.connect(createGrant('h'), createNewConnection('jira', 2))
      await grants.changeState('h', 1, 'needs_reconnect', {
        code: 'needs_reconnect',
        detail: 'No.'
      })
      const clientRemoved = { code: 'client_removed', detail: 'Gone.' }
      t.same(await grants.syncConfiguredClients(['c', 'd'], clientRemoved), [])
      t.match(await grants.syncConfiguredClients(['d'], clientRemoved), [
        { from: 'active', to: 'needs_reconnect', code: 'client_removed' }
      ])
      t.same(await grants.syncConfiguredClients([], clientRemoved), [])
      t.match(await grants.syncConfiguredClients(['c'], clientRemoved), [
        { from: 'needs_reconnect', to: 'active' }
      ])
      t.match(
        [await grants.get('g'), await grants.get('h')],
        [{ state: 'active' }, { state: 'needs_reconnect' }]
      )
    }
  )
}
