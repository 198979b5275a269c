import t from 'tap'
import { pickByScale, startTestService } from '../auth/helper.ts'
import { Browser, waitForRun } from '../helper.ts'

/**
 * Jira's search ends without a word after 126,000 issues of one chain of pages
 * (docs/reference/atlassian.md#83-jql-search).
 */
const ISSUE_COUNT = pickByScale(300, 130_000)

t.test(
  `Copies all ${ISSUE_COUNT} issues of one project, however early Jira ends a long search`,
  async (t) => {
    const { app, sandbox } = await startTestService(
      t,
      { ATLASSIAN_HOURLY_POINTS: '100000000' },
      { sizes: { projects: 1, issues: ISSUE_COUNT, spaces: 1, pages: 1 } }
    )
    await new Browser(app).connect('jira')
    t.match(await waitForRun(app, 'jira'), {
      state: 'succeeded',
      counts: { seen: ISSUE_COUNT + 1, added: ISSUE_COUNT + 1 }
    })
    const fetched =
      sandbox.state.stats.snapshot().calls['POST /ex/jira/{cloudId}/rest/api/3/search/jql'] ?? 0
    t.ok(fetched <= Math.ceil(ISSUE_COUNT / 100) + 20, `and few are read again: ${fetched} calls`)
  }
)
