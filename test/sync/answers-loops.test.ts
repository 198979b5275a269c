import t from 'tap'
import { createAnswersFixture } from './answers-helper.ts'

const SIZES = { projects: 3, issues: 130, spaces: 3, pages: 280 }
const LOOPS = [
  { repeat_tokens: 'same' },
  { repeat_tokens: 'alternating' },
  { empty_pages: { count: 'endless', cursors: 'same' } },
  { empty_pages: { count: 'endless', cursors: 'alternating' } },
  { empty_pages: { count: 'endless', cursors: 'new' } }
]

for (const rules of LOOPS) {
  t.test(
    `A listing without an end is ended, and deletes nothing: ${JSON.stringify(rules)}`,
    async (t) => {
      const fixture = await createAnswersFixture(t, SIZES)
      await fixture.remove('issues', fixture.getId('issues', 1))
      await fixture.remove('pages', fixture.getId('pages', 1))
      await fixture.setAnswers(rules)
      for (const product of ['jira', 'confluence'] as const) {
        const calls = await fixture.countCalls(async () => {
          t.match(await fixture.runSync(product), {
            error: { code: 'upstream_repeats_pages' },
            counts: { removed: 0 }
          })
        })
        t.ok(calls < 25, `${calls} calls of ${product}`)
        const incrementalCalls = await fixture.countCalls(async () => {
          await fixture.runSync(product, 'incremental')
        })
        t.ok(incrementalCalls < 25, `${incrementalCalls} calls of an incremental copy`)
      }
      await fixture.setAnswers({})
      for (const product of ['jira', 'confluence'] as const) {
        t.match(await fixture.runSync(product), { state: 'succeeded', counts: { removed: 1 } })
      }
    }
  )
}

t.test('A few empty pages are no end', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  await fixture.setAnswers({ empty_pages: { count: 4, cursors: 'new' } })
  for (const [product, seen] of [
    ['jira', 133],
    ['confluence', 283]
  ] as const) {
    t.match(await fixture.runSync(product), { state: 'succeeded', counts: { seen, removed: 0 } })
  }
})

t.test('A run ends at its ceiling of calls, and the next one continues', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const { faults } = fixture.sandbox.state
  const { take } = faults
  let count = 0
  // Each page repeats the first one, under a new token.
  faults.take = (method, path) => {
    if (!path.endsWith('/search/jql')) return take(method, path)
    const body = {
      issues: [{ id: fixture.getId('issues', 1), key: 'X-1', fields: {} }],
      nextPageToken: `token ${++count}`
    }
    const fault = { kind: 'status', status: 200, body, match: {}, times: 1, skip: 0 }
    return fault as unknown as ReturnType<typeof take>
  }
  const calls = await fixture.countCalls(async () => {
    t.match(await fixture.runSync('jira'), {
      state: 'partial',
      error: { code: 'call_limit_reached' },
      counts: { removed: 0 }
    })
  })
  t.ok(calls <= 100 + 3 * 7, `${calls} calls`)
  faults.take = take
  t.match(await fixture.runSync('jira'), { state: 'succeeded', counts: { removed: 0 } })
  t.equal((await fixture.listNames('issues')).length, SIZES.issues)
})
