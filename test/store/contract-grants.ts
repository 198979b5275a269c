import type { Test } from 'tap'
import { AppError } from '../../src/errors.ts'
import type { Engine } from '../../src/store/engine.ts'
import { stateOf } from '../../src/store/states.ts'
import { flow, freshStore, HOUR_MS, project, START } from './helper.ts'

const SITE = { cloudId: '11111111-2222-3333-4444-555555555555', name: 'acme', url: 'https://acme.example' }
const sealed = (tokens: string, keyId = 'k1') => ({ keyId, accessToken: `${tokens}-a`, refreshToken: `${tokens}-r`, previousRefreshToken: null })
const grant = (id: string, tokens = 'sealed', keyId = 'k1') => ({ id, clientId: 'c', accountId: id, scopes: 'read:a read:b', ...sealed(tokens, keyId), accessExpiresAt: new Date(START + HOUR_MS), dueAt: null })
const connecting = (provider = 'jira', userId = 1) => ({ userId, provider, sites: [SITE], bound: [SITE], state: 'active' as const, reason: null, before: null })
/** The same again, for one that is there. */
const reconnecting = (provider = 'jira', userId = 1, grantId = 'g') => ({ ...connecting(provider, userId), before: { grantId, state: 'active' as const } })
const fresh = (tokens: string) => ({ ...sealed(tokens), accessExpiresAt: new Date(START + 2 * HOUR_MS), previousUntil: null, rotatedAt: new Date(START), dueAt: null, scopes: 'read:a' })
const LEASE_MS = 400
const pause = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms))

/** Tokens, connections and their keys: what every engine does alike with them. */
export function grantsContract (t: Test, open: () => Engine | Promise<Engine>): void {
  const service = async (t: Test) => await freshStore(t, open)

  t.test('A10 grants: of fifty that want to refresh one gets the lease, and only it can save', async (t) => {
    const { store: { users, grants } } = await service(t)
    await users.save('a@b.co', null)
    await grants.connect(grant('g'), connecting())
    const begin = async (owner: string, version = 1, failures = 0, stale?: string) => await grants.beginRefresh({ id: 'g', version, owner }, failures, LEASE_MS, new Date(START + HOUR_MS), stale)
    const began = await Promise.all(Array.from({ length: 50 }, async (_, i) => await begin(`o${i}`)))
    const winner = began.indexOf(true)
    t.equal(began.filter(Boolean).length, 1)
    t.match(await grants.get('g'), { attemptAt: new Date(START), dueAt: new Date(START + HOUR_MS) }, 'and the attempt is noted')
    t.match(await grants.refresher('g'), { owner: `o${winner}`, over: false })
    for (const i of [winner + 1, winner - 1]) t.same(await grants.save({ id: 'g', version: 1, owner: `o${i}` }, fresh('stolen')), { done: false, changes: [] })
    t.match(await grants.get('g'), { accessToken: 'sealed-a', version: 1 })
    t.equal((await grants.save({ id: 'g', version: 1, owner: `o${winner}` }, fresh('new'))).done, true)
    t.match(await grants.get('g'), { accessToken: 'new-a', refreshToken: 'new-r', version: 2, attemptAt: null, scopes: 'read:a' })
    t.equal(await grants.refresher('g'), undefined, 'the lease is given back')
    t.equal((await grants.save({ id: 'g', version: 1, owner: `o${winner}` }, fresh('again'))).done, false)
    t.equal(await begin('late', 1), false, 'nobody sets out from an old pair')
    t.equal(await begin('failed', 2, 1), false, 'nor from an old count of failures')
    t.equal(await grants.beginRefresh({ id: 'nobody', version: 1, owner: 'o' }, 0, LEASE_MS, new Date()), false)
  })

  t.test('A12 grants: a lease that is over, or that was seen too long, goes to the next; the late one changes nothing', async (t) => {
    const { store: { users, grants } } = await service(t)
    await users.save('a@b.co', null)
    await grants.connect(grant('g'), connecting())
    const attempt = (owner: string) => ({ id: 'g', version: 1, owner })
    const begin = async (owner: string, stale?: string) => await grants.beginRefresh(attempt(owner), 0, LEASE_MS, new Date(START), stale)
    t.equal(await begin('dead'), true)
    t.equal(await begin('next'), false)
    await pause(LEASE_MS + 50)
    t.match(await grants.refresher('g'), { owner: 'dead', over: true })
    t.equal(await begin('next'), true)
    t.equal(await begin('third', 'dead'), false, 'the one that was seen too long has gone already')
    t.equal(await begin('third', 'next'), true)
    for (const late of ['dead', 'next']) {
      t.equal((await grants.save(attempt(late), fresh('late'))).done, false)
      t.equal((await grants.fail(attempt(late), { to: 'needs_reconnect', reason: { code: 'needs_reconnect', detail: 'No.' }, set: {} })).done, false)
    }
    t.match(await grants.get('g'), { state: 'active', accessToken: 'sealed-a', version: 1 })
    t.equal((await grants.save(attempt('third'), fresh('third'))).done, true)
  })

  t.test('grants: a consent beats a refresh that is under way, and keeps every connection of the account', async (t) => {
    const { store: { users, grants, connections } } = await service(t)
    await users.save('a@b.co', null)
    await grants.connect(grant('g'), connecting())
    await grants.beginRefresh({ id: 'g', version: 1, owner: 'o' }, 0, LEASE_MS, new Date(START))
    await grants.connect(grant('g', 'again'), { ...connecting('confluence'), sites: [SITE, SITE] })
    t.equal((await grants.save({ id: 'g', version: 1, owner: 'o' }, fresh('late'))).done, false)
    t.match(await grants.get('g'), { accessToken: 'again-a', version: 2, attemptAt: null })
    t.match(await connections.get(1, 'jira'), { state: 'active', connection: { grantId: 'g', sites: [SITE], bound: [SITE] }, grant: { accountId: 'g' } })
    t.equal((await connections.get(1, 'confluence'))?.connection.sites.length, 2)
    t.equal(await connections.get(2, 'jira'), undefined)
    t.same((await connections.list(1)).map(({ connection: { provider } }) => provider), ['jira', 'confluence'])
    t.equal((await connections.ofGrant('g')).length, 2)
    t.same([...new Set(await connections.heldScopes(1, 'c', 'jira'))], ['read:a', 'read:b'])
    t.same(await connections.heldScopes(1, 'another client', 'jira'), [])
    t.same(await connections.remove(1, 'jira'), [], 'the other product lives on the tokens')
    t.same(await connections.remove(1, 'confluence'), ['g'])
    t.equal(await grants.get('g'), undefined)
  })

  t.test('grants: a connection of nobody stores neither connection nor grant', async (t) => {
    const { store: { grants } } = await service(t)
    await t.rejects(grants.connect(grant('g'), connecting('jira', 9)), AppError)
    t.equal(await grants.get('g'), undefined, 'all or none')
  })

  t.test('history: one row for each change that a connection sees, in any combination of states, and none for others', async (t) => {
    const { store: { users, grants, connections, history } } = await service(t)
    await users.save('a@b.co', null)
    await grants.connect(grant('g'), connecting())
    const GRANT = ['active', 'degraded', 'misconfigured', 'needs_reconnect'] as const
    const OWN = ['active', 'needs_site', 'scope_missing'] as const
    const reason = { code: 'x', detail: 'X.' }
    for (const from of GRANT) {
      for (const own of OWN) {
        for (const to of GRANT) {
          await grants.change('g', 1, from, reason)
          const { connection, state: before } = await connections.get(1, 'jira') ?? {}
          if (connection !== undefined) t.ok(await connections.update(connection, { ...connection, state: own, reason }))
          if (connection !== undefined) t.equal(await connections.update(connection, { ...connection, state: 'active', reason: null }), undefined, 'what was read before that is old')
          const was = stateOf(from, own)
          t.equal((await connections.get(1, 'jira'))?.state, was, `${from} and ${own}, after ${before}`)
          const { changes } = await grants.change('g', 1, to, reason)
          const is = stateOf(to, own)
          t.same(changes.map(({ from, to, userId, provider }) => ({ from, to, userId, provider })), was === is ? [] : [{ from: was, to: is, userId: 1, provider: 'jira' }], `${from} to ${to} with ${own}`)
        }
      }
    }
    const rows = await history.list(1, 1_000)
    t.same(rows.map(({ id }) => id), rows.map(({ id }) => id).toSorted((a, b) => b - a), 'newest first')
    for (const [i, row] of rows.slice(0, -1).entries()) t.equal(row.from, rows[i + 1]?.to, 'and without a gap')
    t.same(await history.list(1, 2, rows[3]?.id), rows.slice(4, 6))
    t.same(await history.list(2, 10), [])
  })

  t.test('grants: what is due is found, the most urgent first; warnings are given once; old tokens are forgotten', async (t) => {
    const { store: { users, grants }, pass } = await service(t)
    await users.save('a@b.co', null)
    for (const [i, name] of ['soon', 'later', 'never', 'dead', 'waiting'].entries()) {
      await users.save(`u${i}@b.co`, null)
      await grants.connect({ ...grant(name), dueAt: name === 'never' ? null : new Date(START + (name === 'later' ? 2 : 1) * 1000) }, connecting('jira', i + 1))
    }
    await grants.change('dead', 1, 'needs_reconnect', { code: 'x', detail: 'X.' })
    await grants.misconfigured('nobody', { code: 'x', detail: 'X.' }, new Date(START))
    await grants.beginRefresh({ id: 'waiting', version: 1, owner: 'o' }, 0, LEASE_MS, new Date(START + 1000))
    await grants.fail({ id: 'waiting', version: 1, owner: 'o' }, { to: 'degraded', reason: { code: 'x', detail: 'X.' }, set: { failures: 1, nextTryAt: new Date(START + HOUR_MS) } })
    const due = async (after: number, limit = 10, from?: { id: string, dueAt: Date }) => (await grants.due(new Date(START + after), limit, from)).map(({ id }) => id)
    t.same(await due(0), [])
    t.same(await due(2000), ['soon', 'later'])
    t.same(await due(2000, 1), ['soon'])
    t.same(await due(HOUR_MS), ['soon', 'waiting', 'later'])
    for (const [i, one] of (await grants.due(new Date(START + HOUR_MS), 10)).entries()) t.same(await due(HOUR_MS, 10, one), ['soon', 'waiting', 'later'].slice(i + 1))
    await grants.hasten('never', new Date(START + 500))
    await grants.hasten('soon', new Date(START + 5000))
    t.same(await due(2000), ['never', 'soon', 'later'])
    pass(HOUR_MS)
    const turns = await Promise.all(Array.from({ length: 10 }, async () => await grants.warnOf(30, new Date(START), 100)))
    t.equal(turns.flat().length, 4, 'each of them once, whoever asks, and not the one that is over')
    t.equal((await grants.warnOf(7, new Date(START), 3)).length, 3)
    t.equal((await grants.warnOf(7, new Date(START), 3)).length, 1)
    t.equal((await grants.warnOf(30, new Date(START), 3)).length, 0, 'a later warning includes the earlier')
    await grants.beginRefresh({ id: 'soon', version: 1, owner: 'o' }, 0, LEASE_MS, new Date(START))
    await grants.save({ id: 'soon', version: 1, owner: 'o' }, { ...fresh('n'), previousRefreshToken: 'old', previousUntil: new Date(START + 2 * HOUR_MS) })
    await grants.forgetPrevious(new Date(START + HOUR_MS))
    t.match(await grants.get('soon'), { previousRefreshToken: 'old' })
    await grants.forgetPrevious(new Date(START + 2 * HOUR_MS))
    t.match(await grants.get('soon'), { previousRefreshToken: null, previousUntil: null })
  })

  t.test('grants: a wrong client is known of all its grants at once, and right again of all of them', async (t) => {
    const { store: { users, grants, connections } } = await service(t)
    for (const [i, name] of ['a', 'b', 'other', 'dead'].entries()) {
      await users.save(`u${i}@b.co`, null)
      await grants.connect({ ...grant(name), clientId: name === 'other' ? 'd' : 'c' }, connecting('jira', i + 1))
    }
    await grants.change('dead', 1, 'needs_reconnect', { code: 'x', detail: 'X.' })
    const states = async () => await Promise.all([1, 2, 3, 4].map(async (id) => (await connections.get(id, 'jira'))?.state))
    t.equal((await grants.misconfigured('c', { code: 'x', detail: 'X.' }, new Date(START + 1000))).length, 2)
    t.same(await states(), ['misconfigured', 'misconfigured', 'active', 'needs_reconnect'])
    t.equal((await grants.misconfigured('c', { code: 'x', detail: 'X.' }, new Date(START + 9000))).length, 0, 'known already')
    t.match(await grants.get('a'), { nextTryAt: new Date(START + 9000), failures: 2 })
    await grants.retryMisconfigured()
    t.match(await grants.get('a'), { nextTryAt: null })
    t.equal((await grants.configured('c')).length, 2)
    t.same(await states(), ['active', 'active', 'active', 'needs_reconnect'])
  })

  t.test('B5 grants: resealing replaces the very columns that were read, and nothing that has moved on', async (t) => {
    const { store: { users, grants, sealed: sealing } } = await service(t)
    for (let i = 0; i < 5; i++) {
      await users.save(`u${i}@b.co`, null)
      await grants.connect(grant(`g${i}`, 'old', i === 4 ? 'k2' : 'k1'), connecting('jira', i + 1))
    }
    t.same(await sealing.perKey(), new Map([['k1', 4], ['k2', 1]]))
    const batch = await sealing.otherwise('k2', 'g0', 2)
    t.same(batch.map(({ id }) => id), ['g1', 'g2'])
    await grants.connect(grant('g2', 'newer'), reconnecting('jira', 3, 'g2'))
    t.equal(await sealing.replace(batch.map((old) => ({ id: old.id, old, fresh: sealed('resealed', 'k2') }))), 1)
    t.match([await grants.get('g1'), await grants.get('g2')], [{ accessToken: 'resealed-a', keyId: 'k2', version: 1 }, { accessToken: 'newer-a', keyId: 'k1', version: 2 }])
    await sealing.markDamaged({ id: 'g3', accessToken: 'another' })
    t.same(await sealing.perKey(), new Map([['k1', 3], ['k2', 2]]))
    await sealing.markDamaged({ id: 'g3', accessToken: 'old-a' })
    t.same(await sealing.perKey(), new Map([['k1', 2], ['k2', 2]]), 'what is damaged holds no key back')
    await sealing.markSealedWith('g3', 'old-a', 'k1')
    t.same(await sealing.perKey(), new Map([['k1', 3], ['k2', 2]]), 'until it opens again')
    await sealing.markDamaged({ id: 'g3', accessToken: 'old-a' })
    t.equal((await sealing.with('k1', 10)).length, 2)
  })

  t.test('keys: one is introduced once, and its uses add up', async (t) => {
    const { store: { keys } } = await service(t)
    await keys.introduce('k1', 'proof')
    await keys.introduce('k1', 'another proof')
    await keys.addUses('k1', 3)
    await keys.addUses('k1', 4)
    t.same(await keys.list(), [{ id: 'k1', proof: 'proof', uses: 7 }])
  })

  t.test('A8 grants: a consent is kept only where the connection is what the caller thinks it is', async (t) => {
    const { store: { users, grants, connections } } = await service(t)
    await users.save('a@b.co', null)
    t.equal(await grants.connect(grant('g'), reconnecting('jira', 1, 'g')), undefined, 'there is nothing to reconnect')
    const first = await Promise.all([grants.connect(grant('g'), connecting()), grants.connect(grant('h'), connecting())])
    t.equal(first.filter((changes) => changes !== undefined).length, 1, 'of two first consents one is kept')
    const kept = (await connections.get(1, 'jira'))?.grant.id ?? ''
    t.equal(await grants.connect(grant('x'), reconnecting('jira', 1, kept === 'g' ? 'h' : 'g')), undefined)
    t.equal(await grants.get('x'), undefined)
    t.ok(await grants.connect(grant('x'), reconnecting('jira', 1, kept)))
    t.equal(await grants.get(kept), undefined, 'the tokens that were replaced are gone')
  })

  t.test('A10 grants: a refresh that began before a consent came to nothing, even if the grant was gone in between', async (t) => {
    const { store: { users, grants, connections } } = await service(t)
    await users.save('a@b.co', null)
    await grants.connect(grant('g'), connecting())
    const late = { id: 'g', version: 1, owner: 'late' }
    t.equal(await grants.beginRefresh(late, 0, 60_000, new Date(START)), true)
    await connections.remove(1, 'jira')
    await grants.connect(grant('g', 'again'), connecting())
    t.match(await grants.get('g'), { version: 1 })
    t.equal((await grants.save(late, fresh('late'))).done, false)
    t.equal((await grants.fail(late, { to: 'needs_reconnect', reason: { code: 'needs_reconnect', detail: 'No.' }, set: {} })).done, false)
    t.match(await grants.get('g'), { accessToken: 'again-a', state: 'active' })
  })

  t.test('grants: only a new consent helps where the client is gone, and where it comes back its grants work again', async (t) => {
    const { store: { users, grants } } = await service(t)
    await users.save('a@b.co', null)
    await users.save('b@b.co', null)
    await grants.connect(grant('g'), connecting())
    await grants.connect(grant('h'), connecting('jira', 2))
    await grants.change('h', 1, 'needs_reconnect', { code: 'needs_reconnect', detail: 'No.' })
    const gone = { code: 'client_gone', detail: 'Gone.' }
    t.same(await grants.knowClients(['c', 'd'], gone), [])
    t.match(await grants.knowClients(['d'], gone), [{ from: 'active', to: 'needs_reconnect', code: 'client_gone' }])
    t.same(await grants.knowClients([], gone), [])
    t.match(await grants.knowClients(['c'], gone), [{ from: 'needs_reconnect', to: 'active' }])
    t.match([await grants.get('g'), await grants.get('h')], [{ state: 'active' }, { state: 'needs_reconnect' }])
  })

  t.test('B13 users: one who leaves takes everything along, or leaves copies under nobody\'s name', async (t) => {
    const { store: { users, grants, connections, projects, flows, history } } = await service(t)
    for (const email of ['ada@b.co', 'bob_x@b.co']) await users.save(email, 'Name')
    for (const id of [1, 2]) {
      await grants.connect(grant(`g${id}`), connecting('jira', id))
      await projects.savePage(id, 'site', [{ remoteId: '1', item: project('K') }])
      await projects.savePage(id, 'other', [{ remoteId: '1', item: project('L') }])
      await projects.save(id, 'HAND', project('HAND'))
    }
    for (const [hash, callerState] of [['s1', 'email=ADA@b.co'], ['s2', 'email=ada%40b.co'], ['s3', 'email=bob@b.co'], ['s4', 'email=bob_x@b.co']]) await flows.start({ ...flow(hash ?? '', new Date(START + HOUR_MS)), callerState: callerState ?? null })
    await connections.remove(1, undefined, [users.removing(1), flows.forgetting({ id: 1, email: 'ada@b.co' })])
    t.same([await users.get(1), await grants.get('g1'), await projects.list(1, 10), await history.list(1, 10), await flows.get('s1'), await flows.get('s2')], [undefined, undefined, [], [], undefined, undefined])
    await connections.remove(2, undefined, [users.anonymising(2), flows.forgetting({ id: 2, email: 'bob_x@b.co' })])
    t.match(await users.get(2), { email: /^removed-user-.*@example\.local$/, displayName: null })
    t.equal(await users.find('bob_x@b.co'), undefined)
    t.equal((await projects.list(2, 10)).length, 3)
    t.ok(await flows.get('s3'), 'a line below is no wildcard')
    t.equal(await flows.get('s4'), undefined)
  })
}
