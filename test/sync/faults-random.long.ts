import t from 'tap'
import { pickByScale, startTestService, type TestService } from '../auth/helper.ts'
import { Browser, PRODUCTS, waitFor } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { DAY_MS } from '../time.ts'
import { getRun, waitForRunToStop, startSync } from './faults-helper.ts'
import { readStoredState, fetchExpectedState } from './expected-state.ts'

const MIXED_DURATION_MS = pickByScale(6_000, 300_000)
const SERVICE_COUNT = pickByScale(4, 8)
const FAULT_SHARE = 0.05
const SIZES = { projects: 130, issues: 230, spaces: 5, pages: 300 }

type RandomSource = () => number
type FaultSpec = Record<string, unknown>

const createStatusFault = (code: number, headers: FaultSpec = {}) => ({
  kind: 'status',
  status: code,
  headers,
  body: { message: 'No.' }
})
/** Faults by class; each class affects one call in twenty. */
const FAULT_CLASSES: Array<(now: number) => FaultSpec[]> = [
  () => [400, 403, 404, 410].map((code) => createStatusFault(code)),
  () => [createStatusFault(401)],
  (now) => [
    createStatusFault(429),
    createStatusFault(429, { 'Retry-After': '1' }),
    createStatusFault(429, { 'Retry-After': '600' }),
    createStatusFault(429, { 'Retry-After': new Date(now + 60_000).toUTCString() }),
    createStatusFault(429, {
      'RateLimit-Reason': 'jira-quota-global-based',
      'Retry-After': '3600',
      'X-RateLimit-Reset': `${new Date(now + 600_000).toISOString().slice(0, 16)}Z`
    }),
    createStatusFault(429, { 'RateLimit-Reason': 'jira-burst-based', 'Retry-After': '1' }),
    createStatusFault(503, { 'Retry-After': '30' })
  ],
  () => [500, 502, 503, 504].map((code) => createStatusFault(code)),
  () => [
    { kind: 'html', status: 200 },
    { kind: 'html', status: 502 },
    { kind: 'garbage' },
    { kind: 'redirect' }
  ],
  () => [{ kind: 'truncate' }, { kind: 'drop-before' }, { kind: 'drop-after' }, { kind: 'hang' }]
]

t.test(
  `D8 After ${MIXED_DURATION_MS / 1000} s of mixed faults in many calls, a sync equals Atlassian's data`,
  async (t) => {
    const first = chooseSeed()
    t.comment(`SEED=${first}`)
    const endStates = new Map<string, number>()
    await Promise.all(
      Array.from({ length: SERVICE_COUNT }, async (_, i) => {
        const random = createRandom(first + i)
        const service = await startTestService(
          t,
          {
            UPSTREAM_ANSWER_TIMEOUT_MS: '600',
            SYNC_INTERVAL: '0',
            ATLASSIAN_HOURLY_POINTS: '100000000'
          },
          { sizes: SIZES }
        )
        for (const product of PRODUCTS) {
          // On a busy machine the time-out of this test ends a login, too.
          await waitFor(async () => {
            const { headers } = await new Browser(service.app).connect(product)
            return headers.location?.includes('status=success')
          })
        }
        const untrouble = injectRandomFaults(service, random)
        const end = performance.now() + MIXED_DURATION_MS
        while (performance.now() < end) {
          await changeRandomItem(service, random)
          const product = PRODUCTS[Math.floor(random() * 2)] ?? 'jira'
          const { state, error } = await runSyncToEnd(
            service,
            product,
            random() < 0.5 ? 'full' : 'incremental'
          )
          const outcome = `${state} ${error?.code ?? ''}`.trim()
          endStates.set(outcome, (endStates.get(outcome) ?? 0) + 1)
        }
        untrouble()
        // A listing restarts after a day without progress.
        service.advanceTime(DAY_MS + 1)
        for (const product of PRODUCTS) {
          t.match(await runSyncToEnd(service, product, 'full'), { state: 'succeeded', error: null })
        }
        t.same(
          await readStoredState(service.app, 1),
          await fetchExpectedState(service.app, service.sandbox, 1, ACME),
          `service ${i + 1}`
        )
      })
    )
    t.comment(JSON.stringify(Object.fromEntries([...endStates].sort())))
    t.same(
      [...endStates.keys()].filter(
        (outcome) =>
          !/^(succeeded|partial (upstream_\w+|deletions_held)|failed upstream_\w+)$/.test(outcome)
      ),
      [],
      'no other outcome'
    )
    t.ok(endStates.size > 1, 'faults occurred')
  }
)

/** Injects random faults until the returned function is called. */
function injectRandomFaults(
  {
    sandbox: {
      state: { faults, now }
    }
  }: TestService,
  random: RandomSource
): () => void {
  const { take } = faults
  faults.take = (method, path) => {
    if (!path.startsWith('/ex/')) return take(method, path)
    const faultClass = FAULT_CLASSES[Math.floor(random() / FAULT_SHARE)]?.(now()) ?? []
    const fault = faultClass[Math.floor(random() * faultClass.length)]
    return fault === undefined
      ? undefined
      : ({ match: {}, times: 1, skip: 0, ...fault } as unknown as ReturnType<typeof take>)
  }
  return () => {
    faults.take = take
  }
}

/** Makes one random change at Atlassian. */
async function changeRandomItem(
  { sandbox: { admin, state }, advanceTime }: TestService,
  random: RandomSource
): Promise<void> {
  const [site] = state.sites
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
      advanceTime(random() * 300_000)
    }
  ]
  await things[Math.floor(random() * things.length)]?.()
}

/** Runs a sync to its end, and advances the clock while the run is parked. */
async function runSyncToEnd(
  service: TestService,
  product: (typeof PRODUCTS)[number],
  mode: string
): Promise<Record<string, any>> {
  const id = await startSync(service.app, product, mode)
  while (true) {
    const run = await waitForRunToStop(service, product, id)
    if (run.state !== 'parked') return await getRun(service, product, id)
    service.advanceTime(Math.max(0, Date.parse(run.next_run_at) - service.sandbox.state.now()) + 10)
    await startSync(service.app, product, mode)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
