import t, { type Test } from 'tap'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { pickByScale, startTestService, type TestService } from '../auth/helper.ts'
import { Browser, PRODUCTS } from '../helper.ts'
import { FeedFollower, readLists } from '../api/feed-follower.ts'
import { ACME } from '../sandbox/helper.ts'
import { MINUTE_MS } from '../time.ts'
import { readStoredState, fetchExpectedState } from './expected-state.ts'
import { performRandomAction } from './random-actions.ts'
import { runSyncs, setAnswers, type RandomHistory } from './random-history.ts'

const SEED_COUNT = pickByScale(4, 500)
const STEP_COUNT = 25
const SIZES = { projects: 4, issues: 30, spaces: 4, pages: 24 }

t.test(
  `After ${SEED_COUNT} random histories, the tables and a change feed reader equal Atlassian's data`,
  async (t) => {
    const first = chooseSeed()
    t.comment(`SEED=${first}`)
    const service = await startTestService(
      t,
      { ATLASSIAN_HOURLY_POINTS: '100000000', SYNC_INTERVAL: '0' },
      { sizes: SIZES }
    )
    for (let i = 0; i < SEED_COUNT; i++) await runHistory(t, service, i + 1, first + i)
  }
)

async function runHistory(
  t: Test,
  service: TestService,
  owner: number,
  own: number
): Promise<void> {
  const { app, sandbox, advanceTime } = service
  await sandbox.admin('reset', {})
  const browser = new Browser(app)
  for (const product of PRODUCTS) {
    await browser.connect(product, `&state=${encodeURIComponent(`email=o${own}@example.com`)}`)
  }
  const life: RandomHistory = {
    service,
    owner,
    mirror: new FeedFollower(app, owner, 7),
    random: createRandom(own),
    checkedUntil: '',
    lagMs: 0,
    rules: {},
    wrongDeletions: []
  }
  await runSyncs(life, 'due')
  await app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: owner, key: 'HAND', name: 'By hand' }
  })
  const actions: string[] = []
  for (let step = 0; step < STEP_COUNT; step++) actions.push(await performRandomAction(life))
  // Atlassian answers as it should and the search index catches up; then three full listings decide
  // on every missing item.
  await setAnswers(life, {})
  advanceTime(30 * MINUTE_MS)
  for (let i = 0; i < 3; i++) await runSyncs(life, 'full')
  const [table, real] = [
    await readStoredState(app, owner),
    await fetchExpectedState(app, sandbox, owner, ACME)
  ]
  const { 'posted HAND': posted, ...projects } = table.projects
  t.same(posted, { key: 'HAND', name: 'By hand', lead: null }, 'hand-posted rows are unchanged')
  t.same(life.wrongDeletions, [], `no existing item was ever deleted (seed ${own})`)
  t.same(
    { ...table, projects },
    real,
    `the tables equal Atlassian's data (seed ${own}: ${actions.join(', ')})`
  )
  await life.mirror.catchUp()
  t.same(
    life.mirror.items,
    await readLists(app, owner),
    `the change feed reader equals the tables (seed ${own})`
  )
}
