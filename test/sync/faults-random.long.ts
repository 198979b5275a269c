import t from 'tap'
import { many, service, type Service } from '../auth/helper.ts'
import { Browser } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import { chance, seed } from '../fixtures/prng.ts'
import { run, settled, start } from './faults-helper.ts'
import { copied, truth } from './expected-state.ts'

const MIXED_MS = many(6_000, 300_000)
const SERVICES = many(4, 8)
const SHARE = 0.05
const DAY_MS = 86_400_000
const SIZES = { projects: 130, issues: 230, spaces: 5, pages: 300 }
const PRODUCTS = ['jira', 'confluence'] as const

type Random = () => number
type Fault = Record<string, unknown>

const status = (code: number, headers: Fault = {}) => ({
  kind: 'status',
  status: code,
  headers,
  body: { message: 'No.' }
})
/** What goes wrong, by kind of trouble; each kind befalls one call in twenty. */
const CLASSES: Array<(now: number) => Fault[]> = [
  () => [400, 403, 404, 410].map((code) => status(code)),
  () => [status(401)],
  (now) => [
    status(429),
    status(429, { 'Retry-After': '1' }),
    status(429, { 'Retry-After': '600' }),
    status(429, { 'Retry-After': new Date(now + 60_000).toUTCString() }),
    status(429, {
      'RateLimit-Reason': 'jira-quota-global-based',
      'Retry-After': '3600',
      'X-RateLimit-Reset': `${new Date(now + 600_000).toISOString().slice(0, 16)}Z`
    }),
    status(429, { 'RateLimit-Reason': 'jira-burst-based', 'Retry-After': '1' }),
    status(503, { 'Retry-After': '30' })
  ],
  () => [500, 502, 503, 504].map((code) => status(code)),
  () => [
    { kind: 'html', status: 200 },
    { kind: 'html', status: 502 },
    { kind: 'garbage' },
    { kind: 'redirect' }
  ],
  () => [{ kind: 'truncate' }, { kind: 'drop-before' }, { kind: 'drop-after' }, { kind: 'hang' }]
]

t.test(
  `D8 ${SERVICES} services through ${MIXED_MS / 1000} s of mixed trouble, ${SHARE * 100} % of each class: a copy without trouble then shows what Atlassian shows`,
  async (t) => {
    const first = seed()
    t.comment(`SEED=${first}`)
    const told = new Map<string, number>()
    await Promise.all(
      Array.from({ length: SERVICES }, async (_, i) => {
        const random = chance(first + i)
        const here = await service(
          t,
          {
            UPSTREAM_ANSWER_TIMEOUT_MS: '600',
            SYNC_INTERVAL: '0',
            ATLASSIAN_HOURLY_POINTS: '100000000'
          },
          { sizes: SIZES }
        )
        for (const product of PRODUCTS) await new Browser(here.app).connect(product)
        const untrouble = trouble(here, random)
        const end = performance.now() + MIXED_MS
        while (performance.now() < end) {
          await change(here, random)
          const product = PRODUCTS[Math.floor(random() * 2)] ?? 'jira'
          const { state, error } = await ended(
            here,
            product,
            random() < 0.5 ? 'full' : 'incremental'
          )
          const outcome = `${state} ${error?.code ?? ''}`.trim()
          told.set(outcome, (told.get(outcome) ?? 0) + 1)
        }
        untrouble()
        // A listing that was left for a day begins anew.
        here.pass(DAY_MS + 1)
        for (const product of PRODUCTS) {
          t.match(await ended(here, product, 'full'), { state: 'succeeded', error: null })
        }
        t.same(
          await copied(here.app, 1),
          await truth(here.app, here.sandbox, 1, ACME),
          `service ${i + 1}`
        )
      })
    )
    t.comment(JSON.stringify(Object.fromEntries([...told].sort())))
    t.same(
      [...told.keys()].filter(
        (outcome) =>
          !/^(succeeded|partial (upstream_\w+|deletions_held)|failed upstream_\w+)$/.test(outcome)
      ),
      [],
      'no run ends in any other way'
    )
    t.ok(told.size > 1, 'and there was trouble')
  }
)

/** From now on calls go wrong at random. @returns what ends that */
function trouble(
  {
    sandbox: {
      world: { faults, now }
    }
  }: Service,
  random: Random
): () => void {
  const { take } = faults
  faults.take = (method, path) => {
    if (!path.startsWith('/ex/')) return take(method, path)
    const found = CLASSES[Math.floor(random() / SHARE)]?.(now()) ?? []
    const fault = found[Math.floor(random() * found.length)]
    return fault === undefined
      ? undefined
      : ({ match: {}, times: 1, skip: 0, ...fault } as unknown as ReturnType<typeof take>)
  }
  return () => {
    faults.take = take
  }
}

/** Something happens at Atlassian. */
async function change({ sandbox: { admin, world }, pass }: Service, random: Random): Promise<void> {
  const [site] = world.sites
  const any = (name: 'projects' | 'issues' | 'spaces' | 'pages') =>
    site?.[name].at(Math.floor(random() * site[name].end()))?.id ?? ''
  const name = `New ${random()}`
  const things = [
    async () => await admin('issues', { project: any('projects'), summary: name }),
    async () => await admin(`issues/${any('issues')}`, { summary: name }),
    async () => await admin(`issues/${any('issues')}`, { deleted: random() < 0.5 }),
    async () => await admin('pages', { space_id: any('spaces'), title: name }),
    async () => await admin(`pages/${any('pages')}`, { title: name }),
    async () =>
      await admin(`pages/${any('pages')}`, { status: random() < 0.5 ? 'deleted' : 'current' }),
    async () => await admin(`projects/${any('projects')}`, { name }),
    async () => await admin(`spaces/${any('spaces')}`, { name }),
    async () => {
      pass(random() * 300_000)
    }
  ]
  await things[Math.floor(random() * things.length)]?.()
}

/** A run until its end; while it is put aside, time flies. */
async function ended(
  here: Service,
  product: (typeof PRODUCTS)[number],
  mode: string
): Promise<Record<string, any>> {
  const id = await start(here.app, product, mode)
  while (true) {
    const found = await settled(here, product, id)
    if (found.state !== 'parked') return await run(here, product, id)
    here.pass(Math.max(0, Date.parse(found.next_run_at) - here.sandbox.world.now()) + 10)
    await start(here.app, product, mode)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
