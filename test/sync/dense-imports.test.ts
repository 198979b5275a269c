import t from 'tap'
import { MINUTE_MS } from '../time.ts'
import { createAnswersFixture } from './answers-helper.ts'

const IMPORTED_COUNT = 5_000

t.test(
  `After ${IMPORTED_COUNT} items with one instant, a copy without changes costs at most 3 calls`,
  async (t) => {
    const fixture = await createAnswersFixture(t, { projects: 2, issues: 3, spaces: 2, pages: 3 })
    const [site] = fixture.sandbox.state.sites
    if (site === undefined) throw new Error('There is no site')
    for (let i = 0; i < IMPORTED_COUNT; i++) {
      site.issues.create({ project: 0, summary: `Imported ${i}` })
      site.pages.create({ space: 0, title: `Imported ${i}` })
    }
    for (const product of ['jira', 'confluence'] as const) {
      t.match(await fixture.runSync(product, 'incremental'), {
        state: 'succeeded',
        counts: { added: IMPORTED_COUNT }
      })
    }
    fixture.advanceTime(15 * MINUTE_MS)
    for (const product of ['jira', 'confluence'] as const) {
      t.match(
        await fixture.runSync(product, 'incremental'),
        { state: 'succeeded', counts: { added: 0, changed: 0 } },
        'the window is read again'
      )
    }
    for (let i = 0; i < 3; i++) {
      fixture.advanceTime(15 * MINUTE_MS)
      for (const product of ['jira', 'confluence'] as const) {
        const calls = await fixture.countCalls(async () => {
          t.match(await fixture.runSync(product, 'incremental'), { state: 'succeeded' })
        })
        t.ok(calls <= 3, `${product}: ${calls} calls`)
      }
    }
    const issue = fixture.getId('issues', 1)
    await fixture.sandbox.admin(`issues/${issue}`, { summary: 'After the import' })
    await fixture.runSync('jira', 'incremental')
    t.match(
      (await fixture.app.inject('/jira/issues/1?q=After%20the%20import')).json(),
      [{ issue_id: issue }],
      'changes are still seen'
    )
  }
)
