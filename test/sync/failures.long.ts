import t, { type Test } from 'tap'
import { Browser, buildAppWithSandbox, waitForRun, type TestApp } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'

const requestSync = async ({ app }: TestApp, product: string, query = '') =>
  await app.inject({ method: 'POST', url: `/integrations/${product}/sync${query}` })

/** A two-page listing per product, and the expected run when its second page fails. */
const LISTINGS = [
  {
    product: 'jira',
    collection: 'projects',
    path: 'project/search',
    list: '/jira/projects/1',
    all: 150,
    before: 100,
    beside: 1
  },
  {
    product: 'confluence',
    collection: 'pages',
    path: 'api/v2/pages',
    list: '/confluence/pages/1',
    all: 300,
    before: 250,
    beside: 2
  }
] as const
const SIZES = { projects: 150, issues: 1, spaces: 2, pages: 300 }

/** Responses that are not retried, and the expected error of the run. */
const REFUSAL_FAULTS = [400, 403, 404, 410].map((status) => ({
  title: `refuses with ${status}`,
  fault: { kind: 'status', status }
}))

/**
 * Transient faults: the error code when they last. A failure that a smaller page may avoid is tried
 * with smaller pages, down to one item; any other is tried four times.
 */
const TRANSIENT_FAULTS: Array<{
  title: string
  fault: object
  code: string
  isRetriedAsIs?: true
}> = [
  { title: 'fails with 500', fault: { kind: 'status', status: 500 }, code: 'upstream_failed' },
  { title: 'fails with 502', fault: { kind: 'status', status: 502 }, code: 'upstream_failed' },
  {
    title: 'fails with 503 and no Retry-After',
    fault: { kind: 'status', status: 503, headers: {} },
    code: 'upstream_failed'
  },
  {
    title: 'fails with 504, whatever the size of the page',
    fault: { kind: 'status', status: 504 },
    code: 'upstream_failed'
  },
  {
    title: 'answers with a page of HTML',
    fault: { kind: 'html', status: 200 },
    code: 'upstream_invalid_answer'
  },
  {
    title: 'answers with half a document',
    fault: { kind: 'truncate' },
    code: 'upstream_(invalid_answer|unreachable)'
  },
  {
    title: 'answers with something else',
    fault: { kind: 'garbage' },
    code: 'upstream_invalid_answer'
  },
  {
    title: 'redirects',
    fault: { kind: 'redirect' },
    code: 'upstream_invalid_answer',
    isRetriedAsIs: true
  },
  { title: 'answers without end', fault: { kind: 'huge' }, code: 'upstream_invalid_answer' },
  { title: 'never answers', fault: { kind: 'hang' }, code: 'upstream_timeout' },
  {
    title: 'closes the connection',
    fault: { kind: 'drop-before' },
    code: 'upstream_unreachable',
    isRetriedAsIs: true
  }
]

/** A service with these products copied. */
async function startSyncedTestService(
  t: Test,
  listings: ReadonlyArray<{ product: string }> = LISTINGS,
  answerMs = 10_000
): Promise<Awaited<ReturnType<typeof buildAppWithSandbox>>> {
  const service = await buildAppWithSandbox(t, {
    env: { UPSTREAM_ANSWER_TIMEOUT_MS: String(answerMs), SYNC_INTERVAL: '0' },
    sandbox: { sizes: SIZES, burst: 1_000_000, hourlyPoints: 1_000_000_000 },
    upstreamBackoff: { initialMs: 1_000, maxMs: 8_000 }
  })
  for (const [i, { product }] of listings.entries()) {
    await new Browser(service.app).connect(product)
    await waitForRun(service.app, product, i + 1)
  }
  return service
}

/** Asserts the run, the copies and the log after a failure of the second page. */
async function assertPartialRun(
  t: Test,
  service: TestApp,
  { product, collection, list, all, before, beside }: (typeof LISTINGS)[number],
  code: string
): Promise<Record<string, any>> {
  const { id } = (await requestSync(service, product, '?mode=full')).json()
  const run = await waitForRun(service.app, product, id)
  const error = { code: new RegExp(`^${code}$`), detail: /\.$/ }
  t.match(
    run,
    { state: 'partial', error, failures: [{ collection, site: ACME, remote_id: null, ...error }] },
    'the failed part is named, the others are copied'
  )
  t.equal(run.failures.length, 1)
  t.match(run.counts, {
    seen: before + beside,
    unchanged: before + beside,
    added: 0,
    changed: 0,
    removed: 0,
    held: 0
  })
  t.equal((await service.app.inject(list)).json().length, all, 'earlier copies stay')
  const log = service.lines()
  t.match(
    log.filter(({ event, run_id: of }) => event === 'sync_part_failed' && of === id),
    [{ collection, site: ACME, error_code: error.code }]
  )
  return run
}

t.test(
  'Does not retry a refusal at the second page, and the run names the cause: it',
  async (t) => {
    const service = await startSyncedTestService(t)
    for (const { title, fault } of REFUSAL_FAULTS) {
      for (const listing of LISTINGS) {
        await t.test(`${title} (${listing.product})`, async (t) => {
          await service.sandbox.admin('faults', {
            ...fault,
            match: { path: listing.path },
            skip: 1,
            times: 1
          })
          await assertPartialRun(t, service, listing, 'upstream_refused')
          const upstream = service.lines().findLast(({ event }) => event === 'upstream_error')
          t.match(
            upstream,
            { upstream: /^127\.0\.0\.1:/, trace_id: /^[\da-f]{32}$/ },
            "the log names the upstream, with Atlassian's trace id"
          )
          // The next case starts without an active run.
          await waitForRun(
            service.app,
            listing.product,
            (await requestSync(service, listing.product, '?mode=full')).json().id
          )
        })
      }
    }
    for (const { product } of LISTINGS) {
      t.match(
        await waitForRun(
          service.app,
          product,
          (await requestSync(service, product, '?mode=full')).json().id
        ),
        { state: 'succeeded', error: null, failures: [] }
      )
    }
  }
)

t.jobs = TRANSIENT_FAULTS.length + 2

for (const [i, { title, fault, code, isRetriedAsIs }] of TRANSIENT_FAULTS.entries()) {
  // Alternates between the products.
  const listing = LISTINGS[i % 2] as (typeof LISTINGS)[number]
  const { product, path, all, beside } = listing
  t.test(
    `D8 T35 Atlassian ${title}: one fault only delays a run, a lasting one ends its part (${product})`,
    { buffered: true },
    async (t) => {
      const service = await startSyncedTestService(
        t,
        [listing],
        title === 'never answers' ? 2_500 : 10_000
      )
      const countErrors = () =>
        service.lines().filter(({ event }) => event === 'upstream_error').length
      const full = async () =>
        await waitForRun(
          service.app,
          product,
          (await requestSync(service, product, '?mode=full')).json().id
        )
      await service.sandbox.admin('faults', { ...fault, match: { path }, skip: 1, times: 1 })
      t.match(await full(), {
        state: 'succeeded',
        error: null,
        failures: [],
        counts: { seen: all + beside, unchanged: all + beside }
      })
      t.equal(countErrors(), 1)

      await service.sandbox.admin('faults', { ...fault, match: { path }, skip: 1, times: 99 })
      const { duration_ms: ms } = await assertPartialRun(t, service, listing, code)
      const attempts = countErrors() - 1
      if (isRetriedAsIs === true) t.equal(attempts, 4)
      else t.ok(attempts <= 2 * Math.ceil(Math.log2(250)) + 8, `${attempts} attempts`)
      t.ok(ms > 7_000 * 0.7, 'with increasing waits')
      await service.sandbox.admin('faults', undefined, 'DELETE')
      t.match(
        await full(),
        {
          state: 'succeeded',
          error: null,
          failures: [],
          counts: { added: 0, changed: 0, removed: 0 }
        },
        'the next run succeeds'
      )
    }
  )
}

t.test(
  'An unreachable Atlassian is upstream_unreachable, and nothing is copied',
  { buffered: true },
  async (t) => {
    const service = await startSyncedTestService(t, LISTINGS.slice(0, 1))
    await service.sandbox.admin('faults', { kind: 'drop-before', times: 1000 })
    const { id } = (await requestSync(service, 'jira')).json()
    t.match(await waitForRun(service.app, 'jira', id), {
      state: 'failed',
      error: { code: 'upstream_unreachable' },
      failures: [{ collection: 'projects' }, { collection: 'issues' }],
      counts: { seen: 0 }
    })
    t.match(
      service.lines().filter(({ event }) => event === 'sync_error'),
      [{ run_id: id, error_code: 'upstream_unreachable', err: { stack: /AppError/ } }]
    )
  }
)
