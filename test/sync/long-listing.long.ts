import t from 'tap'
import { many, service } from '../auth/helper.ts'
import { Browser, synced } from '../helper.ts'

/** Jira's search ends without a word after 126,000 issues of one chain of pages (atlassian.md section 8.3). */
const ISSUES = many(300, 130_000)

t.test(
  `All ${ISSUES} issues of one project are copied, however early Jira ends a long search`,
  async (t) => {
    const { app, sandbox } = await service(
      t,
      { ATLASSIAN_HOURLY_POINTS: '100000000' },
      { sizes: { projects: 1, issues: ISSUES, spaces: 1, pages: 1 } }
    )
    await new Browser(app).connect('jira')
    t.match(await synced(app, 'jira'), {
      state: 'succeeded',
      counts: { seen: ISSUES + 1, added: ISSUES + 1 }
    })
    const fetched =
      sandbox.world.stats.read().calls['POST /ex/jira/{cloudId}/rest/api/3/issue/bulkfetch'] ?? 0
    t.ok(
      fetched <= Math.ceil(ISSUES / 100) + 20,
      `and none of them is fetched again: ${fetched} calls`
    )
  }
)
