import t from 'tap'
import type { JsonObject } from '../types.ts'
import { createAnswersFixture } from './answers-helper.ts'

const SIZES = { projects: 60, issues: 300, spaces: 60, pages: 300 }

t.test('Issues that fail alone are listed, and the rest is read', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const failing = [20, 21, 250].map((position) => fixture.getId('issues', position))
  await fixture.setAnswers({ failing_items: failing })
  const other = fixture.getId('issues', 22)
  await fixture.sandbox.admin(`issues/${other}`, { summary: 'Beside' })
  for (const id of failing) await fixture.sandbox.admin(`issues/${id}`, { summary: 'Later' })
  let run: JsonObject = {}
  const calls = await fixture.countCalls(async () => {
    run = await fixture.runSync('jira')
  })
  t.match(run, {
    state: 'partial',
    error: { code: 'items_skipped' },
    counts: { skipped: failing.length, removed: 0, changed: 1 }
  })
  t.same(
    run.failures.map(({ remote_id: id, code }: JsonObject) => [id, code]).sort(),
    failing.map((id) => [id, 'item_failed']).sort()
  )
  t.ok(calls < 20 + failing.length * 3 * Math.log2(100), `${calls} calls`)
  t.match(await fixture.findItem('issues', other), { summary: 'Beside' })
  const again = await fixture.runSync('jira', 'incremental')
  t.match(again, { state: 'partial', counts: { skipped: failing.length } }, 'retried')
  await fixture.setAnswers({})
  t.match(await fixture.runSync('jira', 'incremental'), { state: 'succeeded', failures: [] })
  t.match(await fixture.findItem('issues', failing[0] ?? ''), { summary: 'Later' })
})

t.test('A changed issue that fails alone does not hide later changes', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const [failing, later] = [fixture.getId('issues', 20), fixture.getId('issues', 200)]
  await fixture.setAnswers({ failing_items: [failing] })
  await fixture.sandbox.admin(`issues/${failing}`, { summary: 'Fails' })
  // Longer than the overlap: what failed is not in the next windows.
  fixture.advanceTime(3_600_000)
  await fixture.sandbox.admin(`issues/${later}`, { summary: 'Later' })
  t.match(await fixture.runSync('jira', 'incremental'), {
    state: 'partial',
    failures: [{ remote_id: failing, code: 'item_failed' }]
  })
  t.match(await fixture.findItem('issues', later), { summary: 'Later' })
  fixture.advanceTime(3_600_000)
  await fixture.runSync('jira', 'incremental')
  await fixture.setAnswers({})
  t.match(await fixture.runSync('jira', 'incremental'), { state: 'succeeded' })
  t.match(await fixture.findItem('issues', failing), { summary: 'Fails' })
})

t.test('A page that fails alone is listed, and the pages behind it are read', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const [failing, behind] = [fixture.getId('pages', 120), fixture.getId('pages', 290)]
  await fixture.setAnswers({ failing_items: [failing] })
  await fixture.sandbox.admin(`pages/${behind}`, { title: 'Behind' })
  const run = await fixture.runSync('confluence')
  t.match(run, { state: 'partial', error: { code: 'items_skipped' }, counts: { removed: 0 } })
  t.ok(
    run.failures.some(({ remote_id: id }: JsonObject) => id === failing),
    'a stored page that fails is named'
  )
  t.match(await fixture.findItem('pages', behind), { title: 'Behind' })
  t.equal((await fixture.listNames('pages')).length, SIZES.pages)
  await fixture.setAnswers({})
  t.match(await fixture.runSync('confluence'), { state: 'succeeded', failures: [] })
})

t.test('A changed page that fails alone is read as soon as it can be', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  const ids = [120, 121, 290].map((position) => fixture.getId('pages', position))
  for (const id of ids) {
    fixture.advanceTime(60_000)
    await fixture.sandbox.admin(`pages/${id}`, { title: `Changed ${id}` })
  }
  const [first, failing, last] = ids as [string, string, string]
  await fixture.setAnswers({ failing_items: [failing] })
  fixture.advanceTime(60_000)
  t.match(await fixture.runSync('confluence', 'incremental'), { state: 'partial' })
  for (const id of [first, last]) {
    t.match(await fixture.findItem('pages', id), { title: `Changed ${id}` })
  }
  fixture.advanceTime(7_200_000)
  t.match(await fixture.runSync('confluence', 'incremental'), { state: 'partial' })
  await fixture.setAnswers({})
  t.match(await fixture.runSync('confluence', 'incremental'), { state: 'succeeded' })
  t.match(await fixture.findItem('pages', failing), { title: `Changed ${failing}` })
})

t.test('A project or space that fails alone does not hide the others', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES)
  for (const [collection, product] of [
    ['projects', 'jira'],
    ['spaces', 'confluence']
  ] as const) {
    await fixture.setAnswers({ failing_items: [fixture.getId(collection, 40)] })
    const run = await fixture.runSync(product)
    t.match(run, { state: 'partial', error: { code: 'items_skipped' }, counts: { removed: 0 } })
    t.equal((await fixture.listNames(collection)).length, SIZES[collection])
  }
})

t.test(
  'The text of a live doc stays when its new version is empty, and the run says so once',
  async (t) => {
    const fixture = await createAnswersFixture(t, SIZES)
    await fixture.app.inject({
      method: 'PATCH',
      url: '/users/1/connections/confluence',
      payload: { page_bodies: true }
    })
    await fixture.runSync('confluence')
    const page = fixture.getId('pages', 5)
    const { title = '' } = (await fixture.findItem('pages', page)) ?? {}
    const readBody = async () => {
      const url = `/confluence/pages/1?include=body&q=${encodeURIComponent(title)}`
      const rows = (await fixture.app.inject(url)).json() as JsonObject[]
      return rows.find((row) => row.page_id === page)?.body
    }
    const before = await readBody()
    t.match(before, { text: /\w/ })
    await fixture.setAnswers({ live_docs: [page] })
    for (const mode of ['incremental', 'full']) {
      const run = await fixture.runSync('confluence', mode)
      t.match(run.failures, mode === 'full' ? [] : [{ remote_id: page, code: 'body_empty' }])
      t.same(await readBody(), before, mode)
    }
  }
)
