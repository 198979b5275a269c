import t, { type Test } from 'tap'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { pickByScale, startTestService, type TestService } from '../auth/helper.ts'
import { Browser, PRODUCTS } from '../helper.ts'
import { FeedFollower, readLists } from '../api/feed-follower.ts'
import { ACME } from '../sandbox/helper.ts'
import { MINUTE_MS } from '../time.ts'
import { readStoredState, fetchExpectedState } from './expected-state.ts'

const SEED_COUNT = pickByScale(4, 500)
const STEP_COUNT = 25
const SIZES = { projects: 4, issues: 30, spaces: 4, pages: 24 }

type RandomSource = () => number
interface RandomHistory {
  service: TestService
  owner: number
  mirror: FeedFollower
  random: RandomSource
}

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
    random: createRandom(own)
  }
  await runSyncs(life, 'due')
  await app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: owner, key: 'HAND', name: 'By hand' }
  })
  const actions: string[] = []
  for (let step = 0; step < STEP_COUNT; step++) actions.push(await performRandomAction(life))
  // The search index catches up; then three full listings decide on every missing item.
  advanceTime(30 * MINUTE_MS)
  for (let i = 0; i < 3; i++) await runSyncs(life, 'full')
  const [table, real] = [
    await readStoredState(app, owner),
    await fetchExpectedState(app, sandbox, owner, ACME)
  ]
  const { 'posted HAND': posted, ...projects } = table.projects
  t.same(posted, { key: 'HAND', name: 'By hand', lead: null }, 'hand-posted rows are unchanged')
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

/** Performs one random action, at Atlassian or in the service. @returns its description */
async function performRandomAction({
  service,
  owner,
  mirror,
  random
}: RandomHistory): Promise<string> {
  const {
    sandbox: { admin, state },
    advanceTime
  } = service
  const [site] = state.sites
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const any = (name: 'projects' | 'issues' | 'spaces' | 'pages'): string =>
    site?.[name].at(Math.floor(random() * site[name].end()))?.id ?? ''
  const things: Array<[name: string, weight: number, happen: () => Promise<unknown>]> = [
    [
      'a page is created',
      3,
      async () => await admin('pages', { space_id: any('spaces'), title: `New ${random()}` })
    ],
    [
      'a page is renamed',
      3,
      async () => await admin(`pages/${any('pages')}`, { title: `Renamed ${random()}` })
    ],
    [
      'a page is moved',
      2,
      async () => await admin(`pages/${any('pages')}`, { space_id: any('spaces') })
    ],
    [
      'a page changes its status',
      4,
      async () =>
        await admin(`pages/${any('pages')}`, {
          status: pick(['current', 'archived', 'trashed', 'deleted'])
        })
    ],
    [
      'an issue is created',
      3,
      async () => await admin('issues', { project: any('projects'), summary: `New ${random()}` })
    ],
    [
      'an issue is edited',
      3,
      async () =>
        await admin(`issues/${any('issues')}`, {
          summary: `Edited ${random()}`,
          status: pick(['To Do', 'In Progress', 'Done'])
        })
    ],
    [
      'an issue is moved',
      2,
      async () => await admin(`issues/${any('issues')}`, { project: any('projects') })
    ],
    [
      'an issue is deleted or restored',
      3,
      async () => await admin(`issues/${any('issues')}`, { deleted: random() < 0.6 })
    ],
    [
      'a project is renamed',
      1,
      async () =>
        await admin(`projects/${any('projects')}`, {
          name: `Project ${random()}`,
          ...(random() < 0.5 ? { key: `K${Math.floor(random() * 1e6)}` } : {})
        })
    ],
    [
      'a project is archived or restored',
      1,
      async () => await admin(`projects/${any('projects')}`, { archived: random() < 0.4 })
    ],
    [
      'a space is created',
      1,
      async () => await admin('spaces', { key: `S${Math.floor(random() * 1e6)}` })
    ],
    [
      'a space is archived, deleted or restored',
      1,
      async () =>
        await admin(
          `spaces/${any('spaces')}`,
          pick<object>([
            { status: 'archived' },
            { status: 'current' },
            { deleted: true },
            { deleted: false }
          ])
        )
    ],
    [
      'access to something is lost or given back',
      2,
      async () => {
        const [kind, name] = pick([
          ['page', 'pages'],
          ['space', 'spaces'],
          ['issue', 'issues'],
          ['project', 'projects']
        ] as const)
        await admin('restrict', { [kind]: any(name), restricted: random() < 0.5 })
      }
    ],
    ['the index lags', 1, async () => await admin('lag', { ms: pick([0, 60_000, 180_000]) })],
    [
      'time passes',
      6,
      async () => {
        advanceTime(random() * 5 * MINUTE_MS)
      }
    ],
    ['an incremental copy', 5, async () => await runSyncs({ service, owner }, 'incremental')],
    ['a full copy', 2, async () => await runSyncs({ service, owner }, 'full')],
    [
      'the mirror follows',
      3,
      async () => {
        await mirror.catchUp()
      }
    ]
  ]
  let at = random() * things.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [name, weight, perform] of things) {
    at -= weight
    if (at >= 0) continue
    // Changing a missing item fails and has no effect.
    await perform().catch((error: Error) => {
      if (!/^400 no /.test(error.message)) throw error
    })
    return name
  }
  return 'nothing'
}

/** Syncs both products and waits for both runs. */
async function runSyncs(
  { service: { app }, owner }: Pick<RandomHistory, 'service' | 'owner'>,
  mode: string
): Promise<void> {
  for (const product of PRODUCTS) {
    const url = `/integrations/${product}/sync`
    const { id } = (
      await app.inject({ method: 'POST', url: `${url}?owner_id=${owner}&mode=${mode}` })
    ).json() as { id: number }
    for (let state = 'queued'; !['succeeded', 'partial', 'failed'].includes(state);) {
      state = (await app.inject(`${url}/runs/${id}`)).json().state
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}
