import type { Test } from 'tap'
import { AppError } from '../../src/lib/errors.ts'
import type { Engine } from '../../src/store/engine.ts'
import { stateOf } from '../../src/model/states.ts'
import {
  connecting,
  flow,
  fresh,
  freshStore,
  grant,
  HOUR_MS,
  LEASE_MS,
  project,
  reconnecting,
  SITE,
  START
} from './helper.ts'

/** Connections, their history and their end: what every engine does alike with them. */
export function connectionsContract(t: Test, open: () => Engine | Promise<Engine>): void {
  const service = async (t: Test) => await freshStore(t, open)

  t.test(
    'grants: a consent beats a refresh that is under way, and keeps every connection of the account',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await service(t)
      await users.save('a@b.co', null)
      await grants.connect(grant('g'), connecting())
      await grants.beginRefresh({ id: 'g', version: 1, owner: 'o' }, 0, LEASE_MS, new Date(START))
      await grants.connect(grant('g', 'again'), {
        ...connecting('confluence'),
        sites: [SITE, SITE]
      })
      t.equal((await grants.save({ id: 'g', version: 1, owner: 'o' }, fresh('late'))).done, false)
      t.match(await grants.get('g'), { accessToken: 'again-a', version: 2, attemptAt: null })
      t.match(await connections.get(1, 'jira'), {
        state: 'active',
        connection: { grantId: 'g', sites: [SITE], bound: [SITE] },
        grant: { accountId: 'g' }
      })
      t.equal((await connections.get(1, 'confluence'))?.connection.sites.length, 2)
      t.equal(await connections.get(2, 'jira'), undefined)
      t.same(
        (await connections.list(1)).map(({ connection: { provider } }) => provider),
        ['jira', 'confluence']
      )
      t.equal((await connections.ofGrant('g')).length, 2)
      t.same([...new Set(await connections.heldScopes(1, 'c', 'jira'))], ['read:a', 'read:b'])
      t.same(await connections.heldScopes(1, 'another client', 'jira'), [])
      t.same(await connections.remove(1, 'jira'), [], 'the other product lives on the tokens')
      t.same(await connections.remove(1, 'confluence'), ['g'])
      t.equal(await grants.get('g'), undefined)
    }
  )

  t.test('grants: a connection of nobody stores neither connection nor grant', async (t) => {
    const {
      store: { grants }
    } = await service(t)
    await t.rejects(grants.connect(grant('g'), connecting('jira', 9)), AppError)
    t.equal(await grants.get('g'), undefined, 'all or none')
  })

  t.test(
    'history: one row for each change that a connection sees, in any combination of states, and none for others',
    async (t) => {
      const {
        store: { users, grants, connections, history }
      } = await service(t)
      await users.save('a@b.co', null)
      await grants.connect(grant('g'), connecting())
      const GRANT = ['active', 'degraded', 'misconfigured', 'needs_reconnect'] as const
      const OWN = ['active', 'needs_site', 'scope_missing'] as const
      const reason = { code: 'x', detail: 'X.' }
      for (const from of GRANT) {
        for (const own of OWN) {
          for (const to of GRANT) {
            await grants.change('g', 1, from, reason)
            const { connection, state: before } = (await connections.get(1, 'jira')) ?? {}
            if (connection !== undefined) {
              t.ok(await connections.update(connection, { ...connection, state: own, reason }))
            }
            if (connection !== undefined) {
              t.equal(
                await connections.update(connection, {
                  ...connection,
                  state: 'active',
                  reason: null
                }),
                undefined,
                'what was read before that is old'
              )
            }
            const was = stateOf(from, own)
            t.equal(
              (await connections.get(1, 'jira'))?.state,
              was,
              `${from} and ${own}, after ${before}`
            )
            const { changes } = await grants.change('g', 1, to, reason)
            const is = stateOf(to, own)
            t.same(
              changes.map(({ from, to, userId, provider }) => ({ from, to, userId, provider })),
              was === is ? [] : [{ from: was, to: is, userId: 1, provider: 'jira' }],
              `${from} to ${to} with ${own}`
            )
          }
        }
      }
      const rows = await history.list(1, 1_000)
      t.same(
        rows.map(({ id }) => id),
        rows.map(({ id }) => id).toSorted((a, b) => b - a),
        'newest first'
      )
      for (const [i, row] of rows.slice(0, -1).entries()) {
        t.equal(row.from, rows[i + 1]?.to, 'and without a gap')
      }
      t.same(await history.list(1, 2, rows[3]?.id), rows.slice(4, 6))
      t.same(await history.list(2, 10), [])
    }
  )

  t.test(
    'A8 grants: a consent is kept only where the connection is what the caller thinks it is',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await service(t)
      await users.save('a@b.co', null)
      t.equal(
        await grants.connect(grant('g'), reconnecting('jira', 1, 'g')),
        undefined,
        'there is nothing to reconnect'
      )
      const first = await Promise.all([
        grants.connect(grant('g'), connecting()),
        grants.connect(grant('h'), connecting())
      ])
      t.equal(
        first.filter((changes) => changes !== undefined).length,
        1,
        'of two first consents one is kept'
      )
      const kept = (await connections.get(1, 'jira'))?.grant.id ?? ''
      t.equal(
        await grants.connect(grant('x'), reconnecting('jira', 1, kept === 'g' ? 'h' : 'g')),
        undefined
      )
      t.equal(await grants.get('x'), undefined)
      t.ok(await grants.connect(grant('x'), reconnecting('jira', 1, kept)))
      t.equal(await grants.get(kept), undefined, 'the tokens that were replaced are gone')
    }
  )

  t.test(
    "B13 users: one who leaves takes everything along, or leaves copies under nobody's name",
    async (t) => {
      const {
        store: { users, grants, connections, projects, flows, history, inSteps }
      } = await service(t)
      for (const email of ['ada@b.co', 'bob_x@b.co']) await users.save(email, 'Name')
      for (const id of [1, 2]) {
        await grants.connect(grant(`g${id}`), connecting('jira', id))
        await inSteps(() => projects.saving(id, 'site', [{ remoteId: '1', item: project('K') }], 1))
        await inSteps(() =>
          projects.saving(id, 'other', [{ remoteId: '1', item: project('L') }], 1)
        )
        await projects.save(id, 'HAND', project('HAND'))
      }
      for (const [hash, callerState] of [
        ['s1', 'email=ADA@b.co'],
        ['s2', 'email=ada%40b.co'],
        ['s3', 'email=bob@b.co'],
        ['s4', 'email=bob_x@b.co']
      ]) {
        await flows.start(
          { ...flow(hash ?? '', new Date(START + HOUR_MS)), callerState: callerState ?? null },
          100
        )
      }
      await connections.remove(1, undefined, [
        users.removing(1),
        await flows.forgetting({ id: 1, email: 'ada@b.co' })
      ])
      t.same(
        [
          await users.get(1),
          await grants.get('g1'),
          await projects.list(1, 10),
          await history.list(1, 10),
          await flows.get('s1'),
          await flows.get('s2')
        ],
        [undefined, undefined, [], [], undefined, undefined]
      )
      await connections.remove(2, undefined, [
        users.anonymising(2),
        await flows.forgetting({ id: 2, email: 'bob_x@b.co' })
      ])
      t.match(await users.get(2), { email: /^removed-user-.*@example\.local$/, displayName: null })
      t.equal(await users.find('bob_x@b.co'), undefined)
      t.equal((await projects.list(2, 10)).length, 3)
      t.ok(await flows.get('s3'), 'a line below is no wildcard')
      t.equal(await flows.get('s4'), undefined)
    }
  )
}
