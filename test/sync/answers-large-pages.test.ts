import t from 'tap'
import type { JsonObject } from '../types.ts'
import { createAnswersFixture, type AnswersFixture } from './answers-helper.ts'

const SIZES = { projects: 30, issues: 300, spaces: 30, pages: 300 }
const ITEM_COUNT = 330

/** Whether all items are stored as Atlassian has them. */
async function readTitles({ app }: AnswersFixture): Promise<JsonObject> {
  const rows = async (path: string) =>
    (await app.inject(`${path}/1?limit=1000`)).json() as JsonObject[]
  return {
    issues: new Map((await rows('/jira/issues')).map((row) => [row.issue_id, row.summary])),
    pages: new Map((await rows('/confluence/pages')).map((row) => [row.page_id, row.title]))
  }
}

for (const status of [500, 502, 503, 504, 'cut-json', 'timeout'] as const) {
  t.test(
    `Pages and batches above a size that fail with ${status} are read in smaller ones`,
    async (t) => {
      const isTimeout = status === 'timeout'
      const fixture = await createAnswersFixture(t, SIZES, {
        env: isTimeout ? { UPSTREAM_ANSWER_TIMEOUT_MS: '1500' } : {}
      })
      const above = isTimeout ? 60 : 20
      await fixture.setAnswers({ large_pages: { above, status } })
      const [issue, page] = [fixture.getId('issues', 299), fixture.getId('pages', 299)]
      await fixture.sandbox.admin(`issues/${issue}`, { summary: 'Last' })
      await fixture.sandbox.admin(`pages/${page}`, { title: 'Last' })
      for (const product of ['jira', 'confluence'] as const) {
        t.match(await fixture.runSync(product), {
          state: 'succeeded',
          error: null,
          counts: { seen: ITEM_COUNT, changed: 1, removed: 0 }
        })
      }
      const titles = await readTitles(fixture)
      t.equal(titles.issues.get(issue), 'Last')
      t.equal(titles.pages.get(page), 'Last')
    }
  )
}

t.test(
  'Where a smaller page refuses the cursor, the listing starts again with that size',
  async (t) => {
    const fixture = await createAnswersFixture(t, SIZES)
    for (const above of [100, 40]) {
      await fixture.setAnswers({ large_pages: { above, status: 502, cursor_bound: true } })
      for (const product of ['jira', 'confluence'] as const) {
        t.match(
          await fixture.runSync(product),
          { state: 'succeeded', error: null, counts: { removed: 0, held: 0 } },
          `${product}, ${above}`
        )
      }
    }
    await fixture.setAnswers({})
    t.match(await fixture.runSync('confluence'), { state: 'succeeded', counts: { held: 0 } })
  }
)

t.test('A page that fails in mid-listing and whose cursor no other size accepts', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  await fixture.setAnswers({ large_pages: { above: 1_000, status: 502, cursor_bound: true } })
  for (const [product, path] of [
    ['jira', '/search/jql'],
    ['confluence', '/api/v2/pages']
  ] as const) {
    await fixture.sandbox.admin('faults', {
      kind: 'status',
      status: 502,
      match: { path },
      skip: 1,
      times: 2
    })
    const calls = await fixture.recordCalls(async () => {
      t.match(
        await fixture.runSync(product),
        { state: 'succeeded', failures: [], counts: { changed: 0, removed: 0, held: 0 } },
        product
      )
    })
    t.match(
      calls.filter((call) => call.path.includes(path)).map(({ status }) => status),
      [200, 502, 502, 400, 200],
      'the listing starts again with the smaller size'
    )
  }
})

t.test('The page size recovers after a failure', async (t) => {
  const fixture = await createAnswersFixture(t, { ...SIZES, pages: 2_000 })
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 504,
    match: { path: '/api/v2/pages' },
    times: 3
  })
  const calls = await fixture.countCalls(async () => {
    t.match(await fixture.runSync('confluence'), { state: 'succeeded' })
  })
  t.ok(calls <= 1 + 3 + 4 + 8, `${calls} calls`)
})
