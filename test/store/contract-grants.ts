import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import {
  connecting,
  fresh,
  freshStore,
  grant,
  HOUR_MS,
  LEASE_MS,
  pause,
  reconnecting,
  sealed,
  START
} from './helper.ts'

/** Tokens, their leases and their keys: what every engine does alike with them. */
export function grantsContract(t: Test, open: () => Engine | Promise<Engine>): void {
  const service = async (t: Test) => await freshStore(t, open)

  t.test(
    'A10 grants: of fifty that want to refresh one gets the lease, and only it can save',
    async (t) => {
      const {
        store: { users, grants }
      } = await service(t)
      await users.save('a@b.co', null)
      await grants.connect(grant('g'), connecting())
      const begin = async (owner: string, version = 1, failures = 0, stale?: string) =>
        await grants.beginRefresh(
          { id: 'g', version, owner },
          failures,
          LEASE_MS,
          new Date(START + HOUR_MS),
          stale
        )
      const began = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => await begin(`o${i}`))
      )
      const winner = began.indexOf(true)
      t.equal(began.filter(Boolean).length, 1)
      t.match(
        await grants.get('g'),
        { attemptAt: new Date(START), dueAt: new Date(START + HOUR_MS) },
        'and the attempt is noted'
      )
      t.match(await grants.refresher('g'), { owner: `o${winner}`, over: false })
      for (const i of [winner + 1, winner - 1]) {
        t.same(await grants.save({ id: 'g', version: 1, owner: `o${i}` }, fresh('stolen')), {
          done: false,
          changes: []
        })
      }
      t.match(await grants.get('g'), { accessToken: 'sealed-a', version: 1 })
      t.equal(
        (await grants.save({ id: 'g', version: 1, owner: `o${winner}` }, fresh('new'))).done,
        true
      )
      t.match(await grants.get('g'), {
        accessToken: 'new-a',
        refreshToken: 'new-r',
        version: 2,
        attemptAt: null,
        scopes: 'read:a'
      })
      t.equal(await grants.refresher('g'), undefined, 'the lease is given back')
      t.equal(
        (await grants.save({ id: 'g', version: 1, owner: `o${winner}` }, fresh('again'))).done,
        false
      )
      t.equal(await begin('late', 1), false, 'nobody sets out from an old pair')
      t.equal(await begin('failed', 2, 1), false, 'nor from an old count of failures')
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
    'A12 grants: a lease that is over, or that was seen too long, goes to the next; the late one changes nothing',
    async (t) => {
      const {
        store: { users, grants }
      } = await service(t)
      await users.save('a@b.co', null)
      await grants.connect(grant('g'), connecting())
      const attempt = (owner: string) => ({ id: 'g', version: 1, owner })
      const begin = async (owner: string, stale?: string) =>
        await grants.beginRefresh(attempt(owner), 0, LEASE_MS, new Date(START), stale)
      t.equal(await begin('dead'), true)
      t.equal(await begin('next'), false)
      await pause(LEASE_MS + 50)
      t.match(await grants.refresher('g'), { owner: 'dead', over: true })
      t.equal(await begin('next'), true)
      t.equal(
        await begin('third', 'dead'),
        false,
        'the one that was seen too long has gone already'
      )
      t.equal(await begin('third', 'next'), true)
      for (const late of ['dead', 'next']) {
        t.equal((await grants.save(attempt(late), fresh('late'))).done, false)
        t.equal(
          (
            await grants.fail(attempt(late), {
              to: 'needs_reconnect',
              reason: { code: 'needs_reconnect', detail: 'No.' },
              set: {}
            })
          ).done,
          false
        )
      }
      t.match(await grants.get('g'), { state: 'active', accessToken: 'sealed-a', version: 1 })
      t.equal((await grants.save(attempt('third'), fresh('third'))).done, true)
    }
  )

  t.test(
    'grants: what is due is found, the most urgent first; warnings are given once; old tokens are forgotten',
    async (t) => {
      const {
        store: { users, grants },
        pass
      } = await service(t)
      await users.save('a@b.co', null)
      for (const [i, name] of ['soon', 'later', 'never', 'dead', 'waiting'].entries()) {
        await users.save(`u${i}@b.co`, null)
        await grants.connect(
          {
            ...grant(name),
            dueAt: name === 'never' ? null : new Date(START + (name === 'later' ? 2 : 1) * 1000)
          },
          connecting('jira', i + 1)
        )
      }
      await grants.change('dead', 1, 'needs_reconnect', { code: 'x', detail: 'X.' })
      await grants.misconfigured('nobody', { code: 'x', detail: 'X.' }, new Date(START))
      await grants.beginRefresh(
        { id: 'waiting', version: 1, owner: 'o' },
        0,
        LEASE_MS,
        new Date(START + 1000)
      )
      await grants.fail(
        { id: 'waiting', version: 1, owner: 'o' },
        {
          to: 'degraded',
          reason: { code: 'x', detail: 'X.' },
          set: { failures: 1, nextTryAt: new Date(START + HOUR_MS) }
        }
      )
      const due = async (after: number, limit = 10, from?: { id: string; dueAt: Date }) =>
        (await grants.due(new Date(START + after), limit, from)).map(({ id }) => id)
      t.same(await due(0), [])
      t.same(await due(2000), ['soon', 'later'])
      t.same(await due(2000, 1), ['soon'])
      t.same(await due(HOUR_MS), ['soon', 'waiting', 'later'])
      for (const [i, one] of (await grants.due(new Date(START + HOUR_MS), 10)).entries()) {
        t.same(await due(HOUR_MS, 10, one), ['soon', 'waiting', 'later'].slice(i + 1))
      }
      await grants.hasten('never', new Date(START + 500))
      await grants.hasten('soon', new Date(START + 5000))
      t.same(await due(2000), ['never', 'soon', 'later'])
      pass(HOUR_MS)
      const turns = await Promise.all(
        Array.from({ length: 10 }, async () => await grants.warnOf(30, new Date(START), 100))
      )
      t.equal(
        turns.flat().length,
        4,
        'each of them once, whoever asks, and not the one that is over'
      )
      t.equal((await grants.warnOf(7, new Date(START), 3)).length, 3)
      t.equal((await grants.warnOf(7, new Date(START), 3)).length, 1)
      t.equal(
        (await grants.warnOf(30, new Date(START), 3)).length,
        0,
        'a later warning includes the earlier'
      )
      await grants.beginRefresh(
        { id: 'soon', version: 1, owner: 'o' },
        0,
        LEASE_MS,
        new Date(START)
      )
      await grants.save(
        { id: 'soon', version: 1, owner: 'o' },
        { ...fresh('n'), previousRefreshToken: 'old', previousUntil: new Date(START + 2 * HOUR_MS) }
      )
      await grants.forgetPrevious(new Date(START + HOUR_MS))
      t.match(await grants.get('soon'), { previousRefreshToken: 'old' })
      await grants.forgetPrevious(new Date(START + 2 * HOUR_MS))
      t.match(await grants.get('soon'), { previousRefreshToken: null, previousUntil: null })
    }
  )

  t.test(
    'grants: a wrong client is known of all its grants at once, and right again of all of them',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await service(t)
      for (const [i, name] of ['a', 'b', 'other', 'dead'].entries()) {
        await users.save(`u${i}@b.co`, null)
        await grants.connect(
          { ...grant(name), clientId: name === 'other' ? 'd' : 'c' },
          connecting('jira', i + 1)
        )
      }
      await grants.change('dead', 1, 'needs_reconnect', { code: 'x', detail: 'X.' })
      const states = async () =>
        await Promise.all(
          [1, 2, 3, 4].map(async (id) => (await connections.get(id, 'jira'))?.state)
        )
      t.equal(
        (await grants.misconfigured('c', { code: 'x', detail: 'X.' }, new Date(START + 1000)))
          .length,
        2
      )
      t.same(await states(), ['misconfigured', 'misconfigured', 'active', 'needs_reconnect'])
      t.equal(
        (await grants.misconfigured('c', { code: 'x', detail: 'X.' }, new Date(START + 9000)))
          .length,
        0,
        'known already'
      )
      t.match(await grants.get('a'), { nextTryAt: new Date(START + 9000), failures: 2 })
      await grants.retryMisconfigured()
      t.match(await grants.get('a'), { nextTryAt: null })
      t.equal((await grants.configured('c')).length, 2)
      t.same(await states(), ['active', 'active', 'active', 'needs_reconnect'])
    }
  )

  t.test(
    'B5 grants: resealing replaces the very columns that were read, and nothing that has moved on',
    async (t) => {
      const {
        store: { users, grants, sealed: sealing }
      } = await service(t)
      for (let i = 0; i < 5; i++) {
        await users.save(`u${i}@b.co`, null)
        await grants.connect(
          grant(`g${i}`, 'old', i === 4 ? 'k2' : 'k1'),
          connecting('jira', i + 1)
        )
      }
      t.same(
        await sealing.perKey(),
        new Map([
          ['k1', 4],
          ['k2', 1]
        ])
      )
      const batch = await sealing.otherwise('k2', 'g0', 2)
      t.same(
        batch.map(({ id }) => id),
        ['g1', 'g2']
      )
      await grants.connect(grant('g2', 'newer'), reconnecting('jira', 3, 'g2'))
      t.equal(
        await sealing.replace(
          batch.map((old) => ({ id: old.id, old, fresh: sealed('resealed', 'k2') }))
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
      await sealing.markDamaged({ id: 'g3', accessToken: 'another' })
      t.same(
        await sealing.perKey(),
        new Map([
          ['k1', 3],
          ['k2', 2]
        ])
      )
      await sealing.markDamaged({ id: 'g3', accessToken: 'old-a' })
      t.same(
        await sealing.perKey(),
        new Map([
          ['k1', 2],
          ['k2', 2]
        ]),
        'what is damaged holds no key back'
      )
      await sealing.markSealedWith('g3', 'old-a', 'k1')
      t.same(
        await sealing.perKey(),
        new Map([
          ['k1', 3],
          ['k2', 2]
        ]),
        'until it opens again'
      )
      await sealing.markDamaged({ id: 'g3', accessToken: 'old-a' })
      t.equal((await sealing.with('k1', 10)).length, 2)
    }
  )

  t.test('keys: one is introduced once, and its uses add up', async (t) => {
    const {
      store: { keys }
    } = await service(t)
    await keys.introduce('k1', 'proof')
    await keys.introduce('k1', 'another proof')
    await keys.addUses('k1', 3)
    await keys.addUses('k1', 4)
    t.same(await keys.list(), [{ id: 'k1', proof: 'proof', uses: 7 }])
  })

  t.test(
    'A10 grants: a refresh that began before a consent came to nothing, even if the grant was gone in between',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await service(t)
      await users.save('a@b.co', null)
      await grants.connect(grant('g'), connecting())
      const late = { id: 'g', version: 1, owner: 'late' }
      t.equal(await grants.beginRefresh(late, 0, 60_000, new Date(START)), true)
      await connections.remove(1, 'jira')
      await grants.connect(grant('g', 'again'), connecting())
      t.match(await grants.get('g'), { version: 1 })
      t.equal((await grants.save(late, fresh('late'))).done, false)
      t.equal(
        (
          await grants.fail(late, {
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
    'grants: only a new consent helps where the client is gone, and where it comes back its grants work again',
    async (t) => {
      const {
        store: { users, grants }
      } = await service(t)
      await users.save('a@b.co', null)
      await users.save('b@b.co', null)
      await grants.connect(grant('g'), connecting())
      await grants.connect(grant('h'), connecting('jira', 2))
      await grants.change('h', 1, 'needs_reconnect', { code: 'needs_reconnect', detail: 'No.' })
      const gone = { code: 'client_removed', detail: 'Gone.' }
      t.same(await grants.knowClients(['c', 'd'], gone), [])
      t.match(await grants.knowClients(['d'], gone), [
        { from: 'active', to: 'needs_reconnect', code: 'client_removed' }
      ])
      t.same(await grants.knowClients([], gone), [])
      t.match(await grants.knowClients(['c'], gone), [{ from: 'needs_reconnect', to: 'active' }])
      t.match(
        [await grants.get('g'), await grants.get('h')],
        [{ state: 'active' }, { state: 'needs_reconnect' }]
      )
    }
  )
}
