import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import { INITIAL_CHECKPOINT } from '../../src/store/repositories/checkpoints.ts'
import type { UnlistedRow } from '../../src/store/repositories/item-tombstones.ts'
import type { ItemRepository } from '../../src/store/repositories/items.ts'
import { HOUR_MS } from '../time.ts'
import { createTestStore, createProject, START_MS } from './helper.ts'

type ProjectPage = Parameters<ItemRepository['upsertPage']>[2]

const createPage = (...ids: string[]): ProjectPage =>
  ids.map((remoteId) => ({ remoteId, item: createProject(`K${remoteId}`) }))
const PARTITION = { ownerId: 1, provider: 'jira', site: 'site', collection: 'projects' }

/** Store contract of every engine: copied items, change feed and checkpoints. */
export function defineCopiesContract(t: Test, open: () => Engine | Promise<Engine>): void {
  async function openStore(t: Test) {
    const fresh = await createTestStore(t, open)
    const { store } = fresh
    await store.users.findOrCreate('a@b.co', null)
    return {
      ...fresh,
      save: async (items: ProjectPage, pass = 1, site = 'site') =>
        await store.transaction(() => store.items('projects').upsertPage(1, site, items, pass)),
      findUnlisted: async (pass: number) => {
        const unlisted = []
        for await (const batch of store.items('projects').findUnlisted(1, 'site', pass)) {
          unlisted.push(...batch)
        }
        return unlisted
      },
      deleteMissing: async (rows: UnlistedRow[]) =>
        await store.transaction(() => store.items('projects').writeTombstones(1, rows))
    }
  }

  t.test(
    'copies: pages count changes, follow a renamed key, and coexist with hand-posted rows',
    async (t) => {
      const {
        store: { items },
        save
      } = await openStore(t)
      const projects = items('projects')
      await projects.save(1, 'PAY', createProject('PAY', 'by hand'))
      const three = createPage('1', '2', '3')
      t.same(await save(three), { added: 3, changed: 0, unchanged: 0, newlyListed: 3 })
      t.same(await save(three), { added: 0, changed: 0, unchanged: 3, newlyListed: 0 })
      t.same(await save([{ remoteId: '1', item: createProject('RENAMED') }, ...three.slice(1)]), {
        added: 0,
        changed: 1,
        unchanged: 2,
        newlyListed: 1
      })
      t.same(
        await save([
          { remoteId: '2', item: { ...createProject('K2'), lead: 'new' } },
          { remoteId: '2', item: createProject('K2') }
        ]),
        { added: 0, changed: 0, unchanged: 1, newlyListed: 0 },
        'the later of two wins'
      )
      t.same(await save(three.slice(0, 1), 1, 'another site'), {
        added: 1,
        changed: 0,
        unchanged: 0,
        newlyListed: 1
      })
      t.same(await save([]), { added: 0, changed: 0, unchanged: 0, newlyListed: 0 })
      t.same(
        (await projects.list(1, 10)).map(({ key }) => key),
        ['K1', 'K2', 'K3', 'PAY', 'RENAMED']
      )
      t.equal((await projects.list(1, 10)).find(({ key }) => key === 'PAY')?.name, 'by hand')
      await t.rejects(
        save(three, 1).then(async () => {
          await projects.save(9, 'X', createProject('X'))
        }),
        { code: 'user_not_found' }
      )
    }
  )

  t.test('copies: older data does not overwrite newer data', async (t) => {
    const {
      store: { items, changeFeed },
      save,
      findUnlisted
    } = await openStore(t)
    const projects = items('projects')
    const pageChangedAt = (ms: number, name: string): ProjectPage => [
      {
        remoteId: '1',
        item: { ...createProject('K', name), remoteUpdatedAt: new Date(START_MS + ms) }
      }
    ]
    await save(pageChangedAt(1_000, 'first'))
    t.same(await save(pageChangedAt(2_000, 'newer')), {
      added: 0,
      changed: 1,
      unchanged: 0,
      newlyListed: 1
    })
    t.same(await save(pageChangedAt(1_500, 'older')), {
      added: 0,
      changed: 0,
      unchanged: 1,
      newlyListed: 0
    })
    t.same(await save(pageChangedAt(2_000, 'as new, and other')), {
      added: 0,
      changed: 1,
      unchanged: 0,
      newlyListed: 1
    })
    t.match(await projects.list(1, 10), [
      { name: 'as new, and other', remoteUpdatedAt: new Date(START_MS + 2_000) }
    ])
    const { seq } = await changeFeed.getState(1)
    t.same(await save(pageChangedAt(1_000, 'older again'), 2), {
      added: 0,
      changed: 0,
      unchanged: 1,
      newlyListed: 1
    })
    t.same(await findUnlisted(2), [], 'but it counts as listed')
    t.equal((await changeFeed.getState(1)).seq, seq)
  })

  t.test(
    'copies: rows store the latest listing that contained them, become tombstones, come back with their ids',
    async (t) => {
      const {
        store: { items, changeFeed },
        save,
        findUnlisted,
        deleteMissing
      } = await openStore(t)
      const projects = items('projects')
      await save(createPage('1', '2', '3', '4'), 1)
      const before = await projects.list(1, 10)
      await save(createPage('1', '2'), 2)
      t.same(
        (await findUnlisted(2)).map(({ remoteId, generation }) => [remoteId, generation]),
        [
          ['3', 1],
          ['4', 1]
        ]
      )
      t.equal((await projects.findAnyListed(1, 'site', 2)) !== undefined, true)
      t.equal(await projects.findAnyListed(1, 'site', 3), undefined)
      const unlistedRows = await findUnlisted(2)
      await save(createPage('4'), 2)
      t.equal(await deleteMissing(unlistedRows), 1, 'one was listed again in between')
      t.same(
        (await projects.list(1, 10)).map(({ key }) => key),
        ['K1', 'K2', 'K4']
      )
      t.same(await findUnlisted(2), [])
      t.equal(await deleteMissing(unlistedRows), 0, 'the other is deleted already')
      const { seq } = await changeFeed.getState(1)
      t.match(await projects.listChanges(1, 0, 10), [
        { remoteId: '1' },
        { remoteId: '2' },
        { remoteId: '4' },
        { remoteId: '3', item: null, site: 'site' }
      ])
      t.same(await save(createPage('3'), 3), { added: 1, changed: 0, unchanged: 0, newlyListed: 1 })
      t.equal(
        (await projects.list(1, 10)).find(({ key }) => key === 'K3')?.id,
        before.find(({ key }) => key === 'K3')?.id
      )
      t.match(await projects.listChanges(1, seq, 10), [{ remoteId: '3', item: { key: 'K3' } }])
    }
  )

  t.test('copies: saves a page completely or not at all', async (t) => {
    const {
      store: { items, checkpoints, changeFeed, transaction },
      save
    } = await openStore(t)
    const projects = items('projects')
    await save(createPage('1'))
    const before = [await projects.list(1, 10), await changeFeed.getState(1)]
    await t.rejects(
      transaction(function* () {
        yield* projects.upsertPage(1, 'site', createPage('1', '2', '3'), 2)
        yield checkpoints.saveStatement(PARTITION, { ...INITIAL_CHECKPOINT, generation: 2 })
        throw new Error('killed')
      }),
      { message: 'killed' }
    )
    t.same([await projects.list(1, 10), await changeFeed.getState(1)], before)
    t.same(await checkpoints.get(PARTITION), INITIAL_CHECKPOINT)
  })

  t.test(
    'feed: each change has the next number; a purged or erased feed tells readers to restart',
    async (t) => {
      const {
        store: { items, changeFeed, transaction },
        save,
        findUnlisted,
        deleteMissing,
        advanceTime
      } = await openStore(t)
      const projects = items('projects')
      t.same(await changeFeed.getState(1), { seq: 0, prunedSeq: 0, epoch: 0 })
      await save(createPage('1', '2'))
      await projects.save(1, 'HAND', createProject('HAND'))
      const { seq } = await changeFeed.getState(1)
      await save(createPage('1', '2'))
      t.equal((await changeFeed.getState(1)).seq, seq)
      const numbers = (await projects.listChanges(1, 0, 10)).map((change) => change.seq)
      t.same(
        numbers,
        [...new Set(numbers)].sort((a, b) => a - b)
      )
      t.ok(numbers.every((each) => each <= seq))
      await save(createPage('1'), 2)
      await deleteMissing(await findUnlisted(2))
      const seqAfterDelete = (await changeFeed.getState(1)).seq
      advanceTime(48 * HOUR_MS)
      t.equal(await projects.purge(new Date(START_MS + HOUR_MS)), false)
      t.equal((await changeFeed.getState(1)).prunedSeq, seqAfterDelete)
      t.equal((await projects.listChanges(1, 0, 10)).length, 2)
      await transaction(function* (tx) {
        for (const each of [projects.eraseStatement(1), changeFeed.resetStatement(1)]) {
          yield each(tx)
        }
      })
      const { seq: end, prunedSeq } = await changeFeed.getState(1)
      t.ok(end === prunedSeq && end > seqAfterDelete)
      t.match(await projects.list(1, 10), [{ key: 'HAND' }])
    }
  )

  t.test('lists: filter by parent, time and part of the name', async (t) => {
    const {
      store: { items, transaction }
    } = await openStore(t)
    const pages = items('pages')
    const item = (pageId: string, spaceKey: string, title: string, ms: number | null) => ({
      remoteId: pageId,
      item: {
        pageId,
        spaceKey,
        title,
        url: null,
        remoteUpdatedAt: ms === null ? null : new Date(START_MS + ms)
      }
    })
    await transaction(() =>
      pages.upsertPage(
        1,
        'site',
        [
          item('1', 'A', 'Alpha Run', -5_000),
          item('2', 'B', 'alpha 50%_', 5_000),
          item('3', 'A', 'Ünder', null)
        ],
        1
      )
    )
    const titles = async (filter: object) =>
      (await pages.list(1, 10, undefined, filter)).map(({ title }) => title)
    t.same(await titles({ parentKey: 'A' }), ['Alpha Run', 'Ünder'])
    t.same(await titles({ text: 'ALPHA' }), ['Alpha Run', 'alpha 50%_'])
    t.same(await titles({ text: '%_' }), ['alpha 50%_'], 'no wildcard')
    t.same(await titles({ text: 'Ünd' }), ['Ünder'])
    t.same(await titles({ updatedSince: START_MS }), ['alpha 50%_', 'Ünder'])
    t.same(await titles({ parentKey: 'A', text: 'run', updatedSince: START_MS - 5_000 }), [
      'Alpha Run'
    ])
    t.same(
      (await pages.list(1, 10, ['alpha 50%_', 2], { parentKey: 'A' })).map(({ title }) => title),
      ['Ünder']
    )
  })

  t.test(
    'checkpoints: commit with their items; held deletions are confirmed once; sites can be forgotten',
    async (t) => {
      const {
        store: { checkpoints, transaction }
      } = await openStore(t)
      t.same(await checkpoints.get(PARTITION), INITIAL_CHECKPOINT)
      const movedCheckpoint = {
        ...INITIAL_CHECKPOINT,
        generation: 3,
        cursor: 'c',
        listingStartedAt: new Date(START_MS),
        watermark: new Date(START_MS + 5),
        retry: ['a', 'b'],
        heldAt: new Date(START_MS),
        heldCount: 4
      }
      await transaction(function* () {
        yield checkpoints.saveStatement(PARTITION, movedCheckpoint)
      })
      t.match(await checkpoints.get(PARTITION), movedCheckpoint)
      await t.rejects(
        transaction(function* () {
          yield checkpoints.saveStatement(PARTITION, { ...movedCheckpoint, cursor: 'd' })
          throw new Error('no')
        }),
        { message: 'no' }
      )
      t.equal((await checkpoints.get(PARTITION)).cursor, 'c')
      t.match(await checkpoints.listHeldDeletions(1), [
        {
          provider: 'jira',
          site: 'site',
          collection: 'projects',
          count: 4,
          since: new Date(START_MS)
        }
      ])
      const confirm = async () =>
        await transaction(function* (tx) {
          return (yield checkpoints.confirmStatement(1, 'jira')(tx)).length
        })
      t.same([await confirm(), await confirm(), await checkpoints.listHeldDeletions(1)], [1, 0, []])
      await transaction(function* (tx) {
        yield checkpoints.deleteStatement(1, 'jira', ['other'])(tx)
      })
      t.equal((await checkpoints.get(PARTITION)).generation, 3)
      await transaction(function* (tx) {
        yield checkpoints.deleteStatement(1, 'jira')(tx)
      })
      t.same(await checkpoints.get(PARTITION), INITIAL_CHECKPOINT)
    }
  )
}
