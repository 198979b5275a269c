import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import { FIRST } from '../../src/store/repositories/checkpoints.ts'
import type { Missing } from '../../src/store/repositories/item-sync.ts'
import type { Store } from '../../src/store/index.ts'
import { freshStore, HOUR_MS, project, START } from './helper.ts'

type Page = Parameters<Store['projects']['saving']>[2]

const page = (...ids: string[]): Page =>
  ids.map((remoteId) => ({ remoteId, item: project(`K${remoteId}`) }))
const PART = { ownerId: 1, provider: 'jira', site: 'site', collection: 'projects' }

/** What every engine does alike with copies of things, their change feed and their checkpoints. */
export function copiesContract(t: Test, open: () => Engine | Promise<Engine>): void {
  async function service(t: Test) {
    const fresh = await freshStore(t, open)
    const { store } = fresh
    await store.users.save('a@b.co', null)
    return {
      ...fresh,
      save: async (items: Page, pass = 1, site = 'site') =>
        await store.inSteps(() => store.projects.saving(1, site, items, pass)),
      missing: async (pass: number) => {
        const found = []
        for await (const some of store.projects.missing(1, 'site', pass)) found.push(...some)
        return found
      },
      bury: async (rows: Missing[]) => await store.inSteps(() => store.projects.burying(1, rows))
    }
  }

  t.test(
    'copies: pages count what changed, follow a renamed key, and live beside hand-posted rows',
    async (t) => {
      const {
        store: { projects },
        save
      } = await service(t)
      await projects.save(1, 'PAY', project('PAY', 'by hand'))
      const three = page('1', '2', '3')
      t.same(await save(three), { added: 3, changed: 0, unchanged: 0 })
      t.same(await save(three), { added: 0, changed: 0, unchanged: 3 })
      t.same(await save([{ remoteId: '1', item: project('RENAMED') }, ...three.slice(1)]), {
        added: 0,
        changed: 1,
        unchanged: 2
      })
      t.same(
        await save([
          { remoteId: '2', item: { ...project('K2'), lead: 'new' } },
          { remoteId: '2', item: project('K2') }
        ]),
        { added: 0, changed: 0, unchanged: 1 },
        'the later of two wins'
      )
      t.same(await save(three.slice(0, 1), 1, 'another site'), {
        added: 1,
        changed: 0,
        unchanged: 0
      })
      t.same(await save([]), { added: 0, changed: 0, unchanged: 0 })
      t.same(
        (await projects.list(1, 10)).map(({ key }) => key),
        ['K1', 'K2', 'K3', 'PAY', 'RENAMED']
      )
      t.equal((await projects.list(1, 10)).find(({ key }) => key === 'PAY')?.name, 'by hand')
      await t.rejects(
        save(three, 1).then(async () => {
          await projects.save(9, 'X', project('X'))
        }),
        { code: 'user_not_found' }
      )
    }
  )

  t.test('copies: what is older than what is stored changes nothing', async (t) => {
    const {
      store: { projects, feed },
      save,
      missing
    } = await service(t)
    const at = (ms: number, name: string): Page => [
      { remoteId: '1', item: { ...project('K', name), remoteUpdatedAt: new Date(START + ms) } }
    ]
    await save(at(1_000, 'first'))
    t.same(await save(at(2_000, 'newer')), { added: 0, changed: 1, unchanged: 0 })
    t.same(await save(at(1_500, 'older')), { added: 0, changed: 0, unchanged: 1 })
    t.same(await save(at(2_000, 'as new, and other')), { added: 0, changed: 1, unchanged: 0 })
    t.match(await projects.list(1, 10), [
      { name: 'as new, and other', remoteUpdatedAt: new Date(START + 2_000) }
    ])
    const { seq } = await feed.state(1)
    t.same(await save(at(1_000, 'older again'), 2), { added: 0, changed: 0, unchanged: 1 })
    t.same(await missing(2), [], 'but it was shown')
    t.equal((await feed.state(1)).seq, seq)
  })

  t.test(
    'copies: rows know the latest listing that showed them, become tombstones, and come back as themselves',
    async (t) => {
      const {
        store: { projects, feed },
        save,
        missing,
        bury
      } = await service(t)
      await save(page('1', '2', '3', '4'), 1)
      const before = await projects.list(1, 10)
      await save(page('1', '2'), 2)
      t.same(
        (await missing(2)).map(({ remoteId, pass }) => [remoteId, pass]),
        [
          ['3', 1],
          ['4', 1]
        ]
      )
      t.equal((await projects.shown(1, 'site', 2)) !== undefined, true)
      t.equal(await projects.shown(1, 'site', 3), undefined)
      const gone = await missing(2)
      await save(page('4'), 2)
      t.equal(await bury(gone), 1, 'one was seen again in between')
      t.same(
        (await projects.list(1, 10)).map(({ key }) => key),
        ['K1', 'K2', 'K4']
      )
      t.same(await missing(2), [])
      t.equal(await bury(gone), 0, 'and the other is gone already')
      const { seq } = await feed.state(1)
      t.match(await projects.changes(1, 0, 10), [
        { remoteId: '1' },
        { remoteId: '2' },
        { remoteId: '4' },
        { remoteId: '3', item: null, site: 'site' }
      ])
      t.same(await save(page('3'), 3), { added: 1, changed: 0, unchanged: 0 })
      t.equal(
        (await projects.list(1, 10)).find(({ key }) => key === 'K3')?.id,
        before.find(({ key }) => key === 'K3')?.id
      )
      t.match(await projects.changes(1, seq, 10), [{ remoteId: '3', item: { key: 'K3' } }])
    }
  )

  t.test('copies: a page that is not saved to its end is not saved at all', async (t) => {
    const {
      store: { projects, checkpoints, feed, inSteps },
      save
    } = await service(t)
    await save(page('1'))
    const before = [await projects.list(1, 10), await feed.state(1)]
    await t.rejects(
      inSteps(function* () {
        yield* projects.saving(1, 'site', page('1', '2', '3'), 2)
        yield checkpoints.saving(PART, { ...FIRST, pass: 2 })
        throw new Error('killed')
      }),
      { message: 'killed' }
    )
    t.same([await projects.list(1, 10), await feed.state(1)], before)
    t.same(await checkpoints.get(PART), FIRST)
  })

  t.test(
    'feed: every change has the next number, what changed nothing has none, and what was purged or erased is told to begin again',
    async (t) => {
      const {
        store: { projects, feed, inSteps },
        save,
        missing,
        bury,
        pass
      } = await service(t)
      t.same(await feed.state(1), { seq: 0, forgotten: 0 })
      await save(page('1', '2'))
      await projects.save(1, 'HAND', project('HAND'))
      const { seq } = await feed.state(1)
      await save(page('1', '2'))
      t.equal((await feed.state(1)).seq, seq)
      const numbers = (await projects.changes(1, 0, 10)).map((change) => change.seq)
      t.same(
        numbers,
        [...new Set(numbers)].sort((a, b) => a - b)
      )
      t.ok(numbers.every((each) => each <= seq))
      await save(page('1'), 2)
      await bury(await missing(2))
      const buried = (await feed.state(1)).seq
      pass(48 * HOUR_MS)
      t.equal(await projects.purge(new Date(START + HOUR_MS)), false)
      t.equal((await feed.state(1)).forgotten, buried)
      t.equal((await projects.changes(1, 0, 10)).length, 2)
      await inSteps(function* (tx) {
        for (const each of [projects.erasing(1), feed.restarting(1)]) yield each(tx)
      })
      const { seq: end, forgotten } = await feed.state(1)
      t.ok(end === forgotten && end > buried)
      t.match(await projects.list(1, 10), [{ key: 'HAND' }])
    }
  )

  t.test('lists: narrowed by what they belong to, by time and by a part of the name', async (t) => {
    const {
      store: { pages, inSteps }
    } = await service(t)
    const item = (pageId: string, spaceKey: string, title: string, ms: number | null) => ({
      remoteId: pageId,
      item: {
        pageId,
        spaceKey,
        title,
        url: null,
        remoteUpdatedAt: ms === null ? null : new Date(START + ms)
      }
    })
    await inSteps(() =>
      pages.saving(
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
    t.same(await titles({ within: 'A' }), ['Alpha Run', 'Ünder'])
    t.same(await titles({ text: 'ALPHA' }), ['Alpha Run', 'alpha 50%_'])
    t.same(await titles({ text: '%_' }), ['alpha 50%_'], 'no wildcard')
    t.same(await titles({ text: 'Ünd' }), ['Ünder'])
    t.same(await titles({ since: START }), ['alpha 50%_', 'Ünder'])
    t.same(await titles({ within: 'A', text: 'run', since: START - 5_000 }), ['Alpha Run'])
    t.same(
      (await pages.list(1, 10, ['alpha 50%_', 2], { within: 'A' })).map(({ title }) => title),
      ['Ünder']
    )
  })

  t.test(
    'checkpoints: moved with what was read or not at all, held deletions confirmed once, forgotten by site',
    async (t) => {
      const {
        store: { checkpoints, inSteps }
      } = await service(t)
      t.same(await checkpoints.get(PART), FIRST)
      const moved = {
        ...FIRST,
        pass: 3,
        cursor: 'c',
        begunAt: new Date(START),
        watermark: new Date(START + 5),
        retry: ['a', 'b'],
        heldAt: new Date(START),
        heldCount: 4
      }
      await inSteps(function* () {
        yield checkpoints.saving(PART, moved)
      })
      t.match(await checkpoints.get(PART), moved)
      await t.rejects(
        inSteps(function* () {
          yield checkpoints.saving(PART, { ...moved, cursor: 'd' })
          throw new Error('no')
        }),
        { message: 'no' }
      )
      t.equal((await checkpoints.get(PART)).cursor, 'c')
      t.match(await checkpoints.held(1), [
        { provider: 'jira', site: 'site', collection: 'projects', count: 4, since: new Date(START) }
      ])
      const confirm = async () =>
        await inSteps(function* (tx) {
          return (yield checkpoints.confirming(1, 'jira')(tx)).length
        })
      t.same([await confirm(), await confirm(), await checkpoints.held(1)], [1, 0, []])
      await inSteps(function* (tx) {
        yield checkpoints.forgetting(1, 'jira', ['other'])(tx)
      })
      t.equal((await checkpoints.get(PART)).pass, 3)
      await inSteps(function* (tx) {
        yield checkpoints.forgetting(1, 'jira')(tx)
      })
      t.same(await checkpoints.get(PART), FIRST)
    }
  )
}
