import t, { type Test } from 'tap'
import { chance, seed } from '../fixtures/prng.ts'
import { many, service, type Service } from '../auth/helper.ts'
import { Browser } from '../helper.ts'
import { Mirror, tables } from '../api/feed-follower.ts'
import { ACME } from '../sandbox/helper.ts'
import { copied, truth } from './expected-state.ts'

const SEEDS = many(4, 500)
const STEPS = 25
const MINUTE_MS = 60_000
const SIZES = { projects: 4, issues: 30, spaces: 4, pages: 24 }
const PRODUCTS = ['jira', 'confluence'] as const

type Random = () => number
interface Life {
  here: Service
  owner: number
  mirror: Mirror
  random: Random
}

t.test(
  `${SEEDS} random histories: in the end the tables are what Atlassian shows, and a mirror that followed the change feed is what the tables are`,
  async (t) => {
    const first = seed()
    t.comment(`SEED=${first}`)
    const here = await service(
      t,
      { ATLASSIAN_HOURLY_POINTS: '100000000', SYNC_INTERVAL: '0' },
      { sizes: SIZES }
    )
    for (let i = 0; i < SEEDS; i++) await history(t, here, i + 1, first + i)
  }
)

async function history(t: Test, here: Service, owner: number, own: number): Promise<void> {
  const { app, sandbox, pass } = here
  await sandbox.admin('reset', {})
  const browser = new Browser(app)
  for (const product of PRODUCTS) {
    await browser.connect(product, `&state=${encodeURIComponent(`email=o${own}@example.com`)}`)
  }
  const life: Life = { here, owner, mirror: new Mirror(app, owner, 7), random: chance(own) }
  await sync(life, 'due')
  await app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: owner, key: 'HAND', name: 'By hand' }
  })
  const told: string[] = []
  for (let step = 0; step < STEPS; step++) told.push(await act(life))
  // The index catches up; then three full listings decide on everything.
  pass(30 * MINUTE_MS)
  for (let i = 0; i < 3; i++) await sync(life, 'full')
  const [table, real] = [await copied(app, owner), await truth(app, sandbox, owner, ACME)]
  const { 'posted HAND': posted, ...projects } = table.projects
  t.same(
    posted,
    { key: 'HAND', name: 'By hand', lead: null },
    'what was posted by hand is as it was posted'
  )
  t.same(
    { ...table, projects },
    real,
    `the tables are what Atlassian shows (seed ${own}: ${told.join(', ')})`
  )
  await life.mirror.follow()
  t.same(
    life.mirror.items,
    await tables(app, owner),
    `the mirror is what the tables are (seed ${own})`
  )
}

/** One thing that happens, in Atlassian or here. @returns what it was */
async function act({ here, owner, mirror, random }: Life): Promise<string> {
  const {
    sandbox: { admin, world },
    pass
  } = here
  const [site] = world.sites
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
        pass(random() * 5 * MINUTE_MS)
      }
    ],
    ['an incremental copy', 5, async () => await sync({ here, owner }, 'incremental')],
    ['a full copy', 2, async () => await sync({ here, owner }, 'full')],
    [
      'the mirror follows',
      3,
      async () => {
        await mirror.follow()
      }
    ]
  ]
  let at = random() * things.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [name, weight, happen] of things) {
    at -= weight
    if (at >= 0) continue
    // What is not there cannot be changed: nothing happens then.
    await happen().catch((error: Error) => {
      if (!/^400 no /.test(error.message)) throw error
    })
    return name
  }
  return 'nothing'
}

/** Copies both products and waits for the ends. */
async function sync(
  { here: { app }, owner }: Pick<Life, 'here' | 'owner'>,
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
