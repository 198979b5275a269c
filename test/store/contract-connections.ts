import type { Test } from 'tap'
import { AppError } from '../../src/lib/errors.ts'
import type { Engine } from '../../src/store/engine.ts'
import { combineStates } from '../../src/model/states.ts'
import { HOUR_MS } from '../time.ts'
import {
  createNewConnection,
  createFlow,
  createRefreshedTokens,
  createTestStore,
  createGrant,
  LEASE_MS,
  createProject,
  createReconnection,
  TEST_SITE,
  START_MS
} from './helper.ts'

/** Store contract of every engine: connections, their history and disconnection. */
export function defineConnectionsContract(t: Test, open: () => Engine | Promise<Engine>): void {
  const openStore = async (t: Test) => await createTestStore(t, open)

  t.test(
    'grants: a consent supersedes a running refresh and keeps every connection of the account',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      await grants.connect(createGrant('g'), createNewConnection())
      await grants.beginRefresh(
        { id: 'g', version: 1, owner: 'o' },
        0,
        LEASE_MS,
        new Date(START_MS)
      )
      await grants.connect(createGrant('g', 'again'), {
        ...createNewConnection('confluence'),
        sites: [TEST_SITE, TEST_SITE]
      })
      t.equal(
        (
          await grants.saveTokens(
            { id: 'g', version: 1, owner: 'o' },
            createRefreshedTokens('late')
          )
        ).done,
        false
      )
      t.match(await grants.get('g'), { accessToken: 'again-a', version: 2, attemptAt: null })
      t.match(await connections.get(1, 'jira'), {
        state: 'active',
        connection: { grantId: 'g', sites: [TEST_SITE], selectedSites: [TEST_SITE] },
        grant: { accountId: 'g' }
      })
      t.equal((await connections.get(1, 'confluence'))?.connection.sites.length, 2)
      t.equal(await connections.get(2, 'jira'), undefined)
      t.same(
        (await connections.list(1)).map(({ connection: { provider } }) => provider),
        ['jira', 'confluence']
      )
      t.equal((await connections.listByGrant('g')).length, 2)
      t.same(
        [...new Set(await connections.findScopesOfOtherConnections(1, 'c', 'jira'))],
        ['read:a', 'read:b']
      )
      t.same(await connections.findScopesOfOtherConnections(1, 'another client', 'jira'), [])
      t.same(
        await connections.findScopesOfOtherConnections('first', 'c', 'jira'),
        await connections.findScopesOfOtherConnections(1, 'c', 'jira')
      )
      t.same(await connections.remove(1, 'jira'), [], 'the other product uses the tokens')
      t.same(await connections.remove(1, 'confluence'), ['g'])
      t.equal(await grants.get('g'), undefined)
    }
  )

  t.test('grants: a connection without a user stores neither connection nor grant', async (t) => {
    const {
      store: { grants }
    } = await openStore(t)
    await t.rejects(grants.connect(createGrant('g'), createNewConnection('jira', 9)), AppError)
    t.equal(await grants.get('g'), undefined, 'all or none')
  })

  t.test(
    'history: one row for each change visible to a connection, in any combination of states',
    async (t) => {
      const {
        store: { users, grants, connections, connectionHistory }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      await grants.connect(createGrant('g'), createNewConnection())
      const GRANT = ['active', 'degraded', 'misconfigured', 'needs_reconnect'] as const
      const OWN = ['active', 'needs_site', 'scope_missing'] as const
      const reason = { code: 'x', detail: 'X.' }
      for (const from of GRANT) {
        for (const own of OWN) {
          for (const to of GRANT) {
            await grants.changeState('g', 1, from, reason)
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
                'the value read earlier is stale'
              )
            }
            const stateBefore = combineStates(from, own)
            t.equal(
              (await connections.get(1, 'jira'))?.state,
              stateBefore,
              `${from} and ${own}, after ${before}`
            )
            const { changes } = await grants.changeState('g', 1, to, reason)
            const stateAfter = combineStates(to, own)
            t.same(
              changes.map(({ from, to, userId, provider }) => ({ from, to, userId, provider })),
              stateBefore === stateAfter
                ? []
                : [{ from: stateBefore, to: stateAfter, userId: 1, provider: 'jira' }],
              `${from} to ${to} with ${own}`
            )
          }
        }
      }
      const rows = await connectionHistory.list(1, 1_000)
      t.same(
        rows.map(({ id }) => id),
        rows.map(({ id }) => id).toSorted((a, b) => b - a),
        'newest first'
      )
      for (const [i, row] of rows.slice(0, -1).entries()) {
        t.equal(row.from, rows[i + 1]?.to, 'and without a gap')
      }
      t.same(await connectionHistory.list(1, 2, rows[3]?.id), rows.slice(4, 6))
      t.same(await connectionHistory.list(2, 10), [])
    }
  )

  t.test(
    'A8 grants: saves a consent only if the connection is as the caller expects',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await openStore(t)
      await users.findOrCreate('a@b.co', null)
      t.equal(
        await grants.connect(createGrant('g'), createReconnection('jira', 1, 'g')),
        undefined,
        'there is nothing to reconnect'
      )
      const first = await Promise.all([
        grants.connect(createGrant('g'), createNewConnection()),
        grants.connect(createGrant('h'), createNewConnection())
      ])
      t.equal(
        first.filter((changes) => changes !== undefined).length,
        1,
        'one of two first consents is saved'
      )
      const keptGrantId = (await connections.get(1, 'jira'))?.grant.id ?? ''
      t.equal(
        await grants.connect(
          createGrant('x'),
          createReconnection('jira', 1, keptGrantId === 'g' ? 'h' : 'g')
        ),
        undefined
      )
      t.equal(await grants.get('x'), undefined)
      t.ok(await grants.connect(createGrant('x'), createReconnection('jira', 1, keptGrantId)))
      t.equal(await grants.get(keptGrantId), undefined, 'the replaced tokens are deleted')
    }
  )

  t.test(
    'B13 users: deletion erases everything of a user, or keeps copies without an owner',
    async (t) => {
      const {
        store: { users, grants, connections, items, loginFlows, connectionHistory, transaction }
      } = await openStore(t)
      const projects = items('projects')
      for (const email of ['ada@b.co', 'bob_x@b.co']) await users.findOrCreate(email, 'Name')
      for (const id of [1, 2]) {
        await grants.connect(createGrant(`g${id}`), createNewConnection('jira', id))
        await transaction(() =>
          projects.upsertPage(id, 'site', [{ remoteId: '1', item: createProject('K') }], 1)
        )
        await transaction(() =>
          projects.upsertPage(id, 'other', [{ remoteId: '1', item: createProject('L') }], 1)
        )
        await projects.save(id, 'HAND', createProject('HAND'))
      }
      for (const [hash, callerState] of [
        ['s1', 'email=ADA@b.co'],
        ['s2', 'email=ada%40b.co'],
        ['s3', 'email=bob@b.co'],
        ['s4', 'email=bob_x@b.co'],
        ['s5', 'email=canada@b.co'],
        ['s6', 'note for ada@b.co'],
        ['s7', '%65mail=ada@b.co'],
        ['s8', String.raw`{"\u0065mail":"ada@b.co"}`],
        ['s9', 'user_id=11'],
        ['s10', 'user_id=1'],
        ['s11', ''],
        ['s12', '']
      ]) {
        await loginFlows.start(
          {
            ...createFlow(hash ?? '', new Date(START_MS + HOUR_MS)),
            callerState: callerState ?? null
          },
          100
        )
      }
      await loginFlows.finish('s11', JSON.stringify({ userId: 11, sites: [] }))
      await loginFlows.finish('s12', JSON.stringify({ userId: 1, sites: [] }))
      await connections.remove(1, undefined, [
        users.deleteStatement(1),
        await loginFlows.deleteForUserStatement({ id: 1, email: 'ada@b.co' })
      ])
      t.same(
        [
          await users.get(1),
          await grants.get('g1'),
          await projects.list(1, 10),
          await connectionHistory.list(1, 10),
          await loginFlows.get('s1'),
          await loginFlows.get('s2'),
          await loginFlows.get('s7'),
          await loginFlows.get('s8'),
          await loginFlows.get('s10'),
          await loginFlows.get('s12')
        ],
        [undefined, undefined, [], [], ...Array.from({ length: 6 })]
      )
      for (const [hash, text] of [
        ['s5', 'an address that ends with this one'],
        ['s6', 'text that names nobody'],
        ['s9', 'an id that starts with this one'],
        ['s11', 'an outcome of such an id']
      ] as const) {
        t.ok(await loginFlows.get(hash), `a login is kept that contains ${text}`)
      }
      await connections.remove(2, undefined, [
        users.anonymizeStatement(2),
        await loginFlows.deleteForUserStatement({ id: 2, email: 'bob_x@b.co' })
      ])
      t.match(await users.get(2), { email: /^removed-user-.*@example\.local$/, displayName: null })
      t.equal(await users.find('bob_x@b.co'), undefined)
      t.equal((await projects.list(2, 10)).length, 3)
      t.ok(await loginFlows.get('s3'), 'an underscore is not a wildcard')
      t.equal(await loginFlows.get('s4'), undefined)
    }
  )
}
