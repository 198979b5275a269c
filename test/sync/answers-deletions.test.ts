import t from 'tap'
import { createAnswersFixture } from './answers-helper.ts'
import { COLLECTIONS, getProduct } from './time-helper.ts'

const SIZES = { projects: 30, issues: 130, spaces: 30, pages: 130 }

t.test('Two lists that lack existing items delete none of them, whatever the list', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  for (const collection of COLLECTIONS) {
    const product = getProduct(collection)
    const before = await fixture.listNames(collection)
    await fixture.setAnswers({ list_omits: { collection, share: 0.1, listings: 2 } })
    for (let listing = 0; listing < 2; listing++) {
      t.match(
        await fixture.runSync(product),
        { state: 'succeeded', counts: { removed: 0, held: 0 } },
        collection
      )
    }
    await fixture.setAnswers({})
    t.same(await fixture.listNames(collection), before)
  }
})

t.test('An item that a look-up finds is stored as it is now', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const issue = fixture.getId('issues', 7)
  await fixture.setAnswers({ list_omits: { collection: 'issues', ids: [issue], listings: 1 } })
  await fixture.sandbox.admin(`issues/${issue}`, { summary: 'Not listed' })
  t.match(await fixture.runSync('jira'), { state: 'succeeded', counts: { removed: 0, changed: 1 } })
  t.match(await fixture.findItem('issues', issue), { summary: 'Not listed' })
})

t.test(
  'A missing issue that Jira cannot deliver is not deleted, but reported and retried',
  async (t) => {
    const fixture = await createAnswersFixture(t, SIZES)
    const issue = fixture.getId('issues', 7)
    await fixture.setAnswers({
      list_omits: { collection: 'issues', ids: [issue], listings: 3 },
      issue_errors: [issue]
    })
    for (let listing = 0; listing < 3; listing++) {
      t.match(await fixture.runSync('jira'), {
        state: 'partial',
        error: { code: 'items_skipped' },
        failures: [{ collection: 'issues', remote_id: issue, code: 'item_failed' }],
        counts: { removed: 0, skipped: 1 }
      })
      t.ok(await fixture.findItem('issues', issue))
    }
    await fixture.setAnswers({})
    await fixture.sandbox.admin(`issues/${issue}`, { summary: 'Readable' })
    t.match(await fixture.runSync('jira', 'incremental'), { state: 'succeeded', failures: [] })
    t.match(await fixture.findItem('issues', issue), { summary: 'Readable' })
  }
)

t.test('A search with a warning is not complete and deletes nothing', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const before = await fixture.listNames('issues')
  const deleted = fixture.getId('issues', 3)
  await fixture.remove('issues', deleted)
  await fixture.setAnswers({ search_warnings: true, truncate_at: 120 })
  for (let listing = 0; listing < 2; listing++) {
    t.match(await fixture.runSync('jira'), {
      state: 'partial',
      error: { code: 'listing_incomplete' },
      failures: [{ collection: 'issues', remote_id: null }],
      counts: { removed: 0 }
    })
  }
  t.same(await fixture.listNames('issues'), before)
  await fixture.setAnswers({})
  t.match(await fixture.runSync('jira'), { state: 'succeeded', counts: { removed: 1 } })
  t.equal(await fixture.findItem('issues', deleted), undefined)
})

t.test('A listing that was cut off by a warning stays incomplete when it is resumed', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  await fixture.setAnswers({ search_warnings: true })
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 403,
    match: { path: '/search/jql' },
    skip: 1
  })
  t.match(await fixture.runSync('jira'), { error: { code: 'upstream_refused' } })
  await fixture.setAnswers({})
  t.match(await fixture.runSync('jira'), { error: { code: 'listing_incomplete' } })
  t.match(await fixture.runSync('jira'), { state: 'succeeded', error: null })
})

t.test(
  'A page in the trash is deleted after one listing, without a look-up of its own',
  async (t) => {
    const fixture = await createAnswersFixture(t, SIZES)
    const page = fixture.getId('pages', 7)
    await fixture.sandbox.admin(`pages/${page}/trash`, {})
    const log = await fixture.recordCalls(async () => {
      t.match(await fixture.runSync('confluence'), { state: 'succeeded', counts: { removed: 1 } })
    })
    t.same(
      log.filter(({ path }) => path.endsWith(`/pages/${page}`)),
      []
    )
  }
)

t.test('A wrong or refused count of issues changes nothing', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  for (const count of [{ factor: 1.08 }, { factor: 0.5 }, { factor: 100 }, { status: 400 }]) {
    await fixture.setAnswers({ count })
    t.match(
      await fixture.runSync('jira'),
      { state: 'succeeded', error: null, counts: { removed: 0, held: 0 } },
      JSON.stringify(count)
    )
    const calls = await fixture.recordCalls(async () => {
      t.match(await fixture.runSync('jira', 'due'), { state: 'succeeded' })
    })
    t.same(
      calls.filter(({ path }) => path.endsWith('/approximate-count')),
      [],
      'the next copy is incremental'
    )
  }
})
