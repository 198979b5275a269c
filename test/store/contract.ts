import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import { HOUR_MS } from '../time.ts'
import { defineCommitsContract } from './contract-commits.ts'
import { defineConnectionsContract } from './contract-connections.ts'
import { defineCopiesContract } from './contract-copies.ts'
import { defineGrantsContract } from './contract-grants.ts'
import { defineInstancesContract } from './contract-instances.ts'
import { defineRunsContract } from './contract-runs.ts'
import { defineSharedContract } from './contract-shared.ts'
import { createFlow, createTestStore, createProject, START_MS } from './helper.ts'

/** The store contract of every engine. Each engine's test file runs it. */
export function defineStoreContract(t: Test, open: () => Engine | Promise<Engine>): void {
  const openStore = async (t: Test) => await createTestStore(t, open)

  t.test('is healthy, with its tables up to date', async (t) => {
    const { store } = await openStore(t)
    t.equal(await store.isMigrated(), true)
  })

  t.test(
    'users: one for each email, normalized and case-insensitive, stored as given, listed oldest first',
    async (t) => {
      const {
        store: { users }
      } = await openStore(t)
      t.equal(await users.findFirst(), undefined)
      t.equal(await users.get(1), undefined)
      t.same(await users.findOrCreate('Ada@Example.com', 'Ada'), {
        user: { id: 1, email: 'Ada@Example.com', displayName: 'Ada' },
        created: true
      })
      t.same(await users.findOrCreate('ADA@example.COM', 'Other'), {
        user: { id: 1, email: 'Ada@Example.com', displayName: 'Ada' },
        created: false
      })
      t.equal((await users.findOrCreate('J\u00d6RG@example.com', null)).created, true)
      t.equal((await users.findOrCreate('jo\u0308rg@example.com', null)).created, false)
      for (let i = 0; i < 5; i++) await users.findOrCreate(`u${i}@example.com`, null)
      const all = await users.list(100)
      t.equal(all.length, 7)
      t.same(
        all.map(({ id }) => id),
        all.map(({ id }) => id).toSorted((a, b) => a - b)
      )
      t.same(await users.list(2, all[1]?.id), all.slice(2, 4))
      t.same(await users.list(10, all.at(-1)?.id), [])
      t.equal((await users.findFirst())?.email, 'Ada@Example.com')
      t.equal(await users.get(Number.MAX_SAFE_INTEGER), undefined)
    }
  )

  t.test('D4 users and items: a hundred concurrent upserts make one row', async (t) => {
    const { store } = await openStore(t)
    const made = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        store.users.findOrCreate(i % 2 === 0 ? 'a@b.co' : 'A@B.CO', null)
      )
    )
    t.equal(made.filter(({ created }) => created).length, 1)
    t.equal(new Set(made.map(({ user }) => user.id)).size, 1)
    const owner = made[0]?.user.id ?? 0
    const saved = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        store.items('projects').save(owner, 'K', createProject('K', `N${i}`))
      )
    )
    t.equal(saved.filter(({ created }) => created).length, 1)
    t.equal((await store.items('projects').list(owner, 10)).length, 1)
  })

  t.test(
    'items: an upsert replaces the whole item, an unknown owner is user_not_found, and no item is orphaned',
    async (t) => {
      const {
        store: { users, items }
      } = await openStore(t)
      const projects = items('projects')
      await users.findOrCreate('a@b.co', null)
      const first = await projects.save(1, 'K', {
        key: 'K',
        name: 'N',
        lead: 'L',
        url: 'https://a.example/'
      })
      t.equal(first.created, true)
      const again = await projects.save(1, 'K', createProject('K', 'N2'))
      t.match(again, {
        created: false,
        row: {
          id: first.row.id,
          name: 'N2',
          lead: null,
          url: null,
          updatedAt: new Date(START_MS),
          remoteUpdatedAt: null
        }
      })
      await t.rejects(projects.save(9, 'K', createProject('K')), { code: 'user_not_found' })
      await users.findOrCreate('b@b.co', null)
      t.same(await projects.list(9, 10), [])
      t.same(await projects.list(2, 10), [])
    }
  )

  t.test('items: lists are ordered by code points and continue after any row', async (t) => {
    const {
      store: { users, items }
    } = await openStore(t)
    const pages = items('pages')
    await users.findOrCreate('a@b.co', null)
    const titles = [
      '',
      ' ',
      'A',
      'B',
      'a',
      'b',
      'b',
      'b',
      'e\u0301',
      '\u00e9',
      '\ue000',
      '\uffff',
      '\u{10000}',
      '\u{1f600}'
    ]
    for (const [i, title] of titles.toReversed().entries()) {
      await pages.save(1, `${i}`, { title, pageId: `${i}`, spaceKey: 'S', url: null })
    }
    const all = await pages.list(1, 100)
    t.same(
      all.map(({ title }) => title),
      titles
    )
    for (const [i, { title, id }] of all.entries()) {
      t.same(await pages.list(1, 100, [String(title), id]), all.slice(i + 1), JSON.stringify(title))
    }
    t.equal((await pages.list(1, 3)).length, 3)
  })

  t.test(
    'flows: one caller takes a flow, once, before it expires; the outcome is kept and purged later',
    async (t) => {
      const {
        store: { loginFlows },
        advanceTime
      } = await openStore(t)
      await loginFlows.start(createFlow('s1', new Date(START_MS + 1000)), 100)
      t.match(await loginFlows.get('s1'), { callerState: 'mine', codeHash: null, outcome: null })
      t.equal(await loginFlows.get('s2'), undefined)
      t.equal(await loginFlows.claim('s2', 'code'), false)
      const claims = await Promise.all(
        Array.from({ length: 50 }, (_, i) => loginFlows.claim('s1', `code ${i}`))
      )
      t.equal(claims.filter(Boolean).length, 1)
      await loginFlows.finish('s1', '{"userId":1}')
      t.match(await loginFlows.get('s1'), { outcome: '{"userId":1}' })
      await loginFlows.start(createFlow('late', new Date(START_MS + 1000)), 100)
      advanceTime(1001)
      t.equal(await loginFlows.claim('late', 'code'), false, 'too late')
      advanceTime(2 * HOUR_MS)
      await loginFlows.start(createFlow('new', new Date(START_MS + 3 * HOUR_MS)), 100)
      t.same([await loginFlows.get('s1'), await loginFlows.get('late')], [undefined, undefined])
      t.ok(await loginFlows.get('new'))
    }
  )

  defineCommitsContract(t, open)
  defineCopiesContract(t, open)
  defineInstancesContract(t, open)
  defineRunsContract(t, open)
  defineSharedContract(t, open)
  defineGrantsContract(t, open)
  defineConnectionsContract(t, open)
}
