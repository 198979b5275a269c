import t from 'tap'
import { createAnswersFixture } from './answers-helper.ts'

const SIZES = { projects: 3, issues: 30, spaces: 2, pages: 3 }

t.test('Answers to another account or to a rejected token are no evidence', async (t) => {
  for (const rules of [
    { account_header: 'other' },
    { dead_token: 'seraph' },
    { dead_token: 'silent' }
  ]) {
    const fixture = await createAnswersFixture(t, SIZES, { products: ['jira'] })
    const before = await fixture.listNames('issues')
    await fixture.remove('issues', fixture.getId('issues', 1))
    await fixture.setAnswers(rules)
    if (!('account_header' in rules)) await fixture.sandbox.admin('revoke', {})
    for (let listing = 0; listing < 2; listing++) {
      t.match(
        await fixture.runSync('jira'),
        { state: 'failed', error: { code: 'needs_reconnect' }, counts: { removed: 0 } },
        JSON.stringify(rules)
      )
    }
    t.same(await fixture.listNames('issues'), before)
  }
})

t.test('Where answers do not name the account, deletions are still found', async (t) => {
  const fixture = await createAnswersFixture(t, SIZES, { products: ['jira'] })
  await fixture.setAnswers({ account_header: 'absent' })
  await fixture.remove('issues', fixture.getId('issues', 1))
  t.match(await fixture.runSync('jira'), { state: 'succeeded', counts: { removed: 1 } })
})
