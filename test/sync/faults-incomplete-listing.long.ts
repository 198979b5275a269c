import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { pickByScale, startTestService } from '../auth/helper.ts'
import { Browser, waitForRun } from '../helper.ts'
import {
  runSync,
  createLanes,
  listItems,
  COLLECTIONS_BY_PRODUCT,
  PAGE_COUNT,
  SANDBOX_SIZES,
  type CollectionName,
  type SyncLane
} from './faults-helper.ts'

/** A fault that ends a listing early, with or without an error. */
interface EarlyEnd {
  title: string
  collection: CollectionName
  path: string
  skip?: number
  body: object
  code: string
}

const EARLY_ENDS: EarlyEnd[] = [
  {
    title: 'Jira lists no more projects without marking the end',
    collection: 'projects',
    path: '/project/search',
    skip: 1,
    body: { values: [], total: SANDBOX_SIZES.projects, isLast: false },
    code: 'listing_incomplete'
  },
  {
    title: 'Jira lists no project at all',
    collection: 'projects',
    path: '/project/search',
    body: { values: [], total: 0, isLast: true },
    code: 'listing_empty'
  },
  {
    title: 'Jira lists no issue at all',
    collection: 'issues',
    path: '/search/jql',
    body: { issues: [], isLast: true },
    code: 'deletions_held'
  },
  {
    title: 'Confluence lists no page at all',
    collection: 'pages',
    path: '/api/v2/pages',
    body: { results: [], _links: {} },
    code: 'listing_empty'
  },
  {
    title: 'Confluence lists no space and no error',
    collection: 'spaces',
    path: '/api/v2/spaces',
    body: { results: [], _links: {} },
    code: 'listing_empty'
  }
]

t.test(
  'Detects a listing that ends early and deletes nothing, not even deleted items, when',
  async (t) => {
    const [jira, confluence] = (await createLanes(t, 1)) as [SyncLane, SyncLane]
    for (const [i, { title, collection, path, skip = 0, body, code }] of EARLY_ENDS.entries()) {
      await t.test(title, async (t) => {
        const lane = COLLECTIONS_BY_PRODUCT.jira.includes(collection) ? jira : confluence
        const { service } = lane
        const before = await listItems(service, collection)
        const deletedId = await deleteItem(lane, collection, i + 5)
        await service.sandbox.admin('faults', {
          kind: 'status',
          status: 200,
          body,
          match: { path },
          skip
        })
        t.match(await runSync(lane), {
          state: 'partial',
          error: { code, detail: /\.$/ },
          counts: { added: 0, changed: 0, removed: 0, skipped: 0 }
        })
        t.same(await listItems(service, collection), before, 'the list is unchanged')
        const { state, error, counts } = await runSync(lane)
        t.match(
          { state, error, ...counts },
          {
            state: 'succeeded',
            error: null,
            added: 0,
            changed: 0,
            removed: deletedId === undefined ? 0 : 1,
            held: 0,
            skipped: 0
          },
          'the next run decides'
        )
        t.same(
          await listItems(service, collection),
          before.filter(
            (row) => deletedId === undefined || (row.issue_id ?? row.page_id) !== deletedId
          )
        )
      })
    }
  }
)

/** Deletes an issue or a page at Atlassian. @returns its id */
async function deleteItem(
  { service: { sandbox } }: SyncLane,
  collection: CollectionName,
  position: number
): Promise<string | undefined> {
  if (collection !== 'issues' && collection !== 'pages') return undefined
  const id = sandbox.state.sites[0]?.[collection].at(position)?.id
  await sandbox.admin(
    `${collection}/${id}`,
    collection === 'issues' ? { deleted: true } : { status: 'deleted' }
  )
  return id
}

t.test('Accepts a listing that differs from the estimated count', async (t) => {
  const [lane] = (await createLanes(t, 1)) as [SyncLane]
  for (const count of [2 * SANDBOX_SIZES.issues, SANDBOX_SIZES.issues - 20, 0]) {
    await lane.service.sandbox.admin('faults', {
      kind: 'status',
      status: 200,
      body: { count },
      match: { path: '/search/approximate-count' }
    })
    t.match(
      await runSync(lane),
      { state: 'succeeded', counts: { removed: 0 } },
      `${count} of ${SANDBOX_SIZES.issues}`
    )
  }
})

t.test(
  'A listing silently cut before its last page deletes nothing; missing items are looked up',
  async (t) => {
    const [, lane] = (await createLanes(t, 1)) as [SyncLane, SyncLane]
    for (const [collection, path] of [
      ['pages', '/api/v2/pages'],
      ['spaces', '/api/v2/spaces']
    ] as const) {
      await lane.service.sandbox.admin('faults', {
        kind: 'status',
        status: 200,
        body: { results: [], _links: {} },
        match: { path },
        skip: PAGE_COUNT - 1
      })
      t.match(
        await runSync(lane),
        { state: 'succeeded', counts: { removed: 0, held: 0 } },
        collection
      )
      t.equal((await listItems(lane.service, collection)).length, SANDBOX_SIZES[collection])
    }
  }
)

t.test('Halves the page size after timeouts and raises it again', async (t) => {
  const sizes: number[] = []
  const note = (message: unknown) => {
    const { path, body } = (message as { request: { path: string; body: unknown } }).request
    const { pathname, searchParams } = new URL(path, 'http://upstream.invalid')
    const { maxResults, issueIdsOrKeys } =
      body instanceof Uint8Array && pathname.startsWith('/ex/')
        ? JSON.parse(Buffer.from(body).toString())
        : ({} as Record<string, any>)
    if (pathname.endsWith(watched)) {
      sizes.push(
        Number(
          searchParams.get('limit') ??
            searchParams.get('maxResults') ??
            maxResults ??
            issueIdsOrKeys?.length ??
            0
        )
      )
    }
  }
  let watched = ''
  diagnostics.subscribe('undici:request:create', note)
  t.teardown(() => diagnostics.unsubscribe('undici:request:create', note))
  const [jira, confluence] = (await createLanes(t, 1)) as [SyncLane, SyncLane]
  const smaller: Array<[lane: SyncLane, path: string, times: number, sizes: number[]]> = [
    [jira, '/project/search', 2, [100, 50, 25, 50]],
    [jira, '/search/jql', 2, [100, 50, 25, 50, 100]],
    [confluence, '/api/v2/spaces', 1, [250, 125, 250]],
    [confluence, '/api/v2/pages', 6, [250, 125, 62, 31, 15, 7, 3, 6, 12, 24, 48, 96]]
  ]
  for (const [lane, path, times, expected] of smaller) {
    watched = path
    sizes.length = 0
    await lane.service.sandbox.admin('faults', {
      kind: 'status',
      status: 504,
      match: { path },
      times
    })
    t.match(await runSync(lane), { state: 'succeeded', counts: { removed: 0 } }, path)
    t.same(sizes.slice(0, expected.length), expected, `${path}: ${sizes.join(', ')}`)
  }
  await confluence.service.sandbox.admin('faults', {
    kind: 'status',
    status: 504,
    match: { path: '/api/v2/pages' },
    times: 1_000
  })
  t.match(
    await runSync(confluence),
    { state: 'partial', error: { code: 'upstream_failed' }, counts: { removed: 0 } },
    'retries are limited'
  )
  await confluence.service.sandbox.admin('faults', undefined, 'DELETE')
  t.match(await runSync(confluence), { state: 'succeeded', counts: { removed: 0 } })
})

const [ISSUE_COUNT, CHAIN_LENGTH] = [pickByScale(300, 3_000), pickByScale(120, 1_200)]

t.test(
  `A silently cut chain of ${CHAIN_LENGTH} deletes none of ${ISSUE_COUNT} issues, however often it is cut`,
  async (t) => {
    const service = await startTestService(
      t,
      {
        ATLASSIAN_HOURLY_POINTS: '100000000',
        SYNC_INTERVAL: '0',
        SYNC_SHRINK_PERCENT: '99'
      },
      {
        sizes: { projects: 1, issues: ISSUE_COUNT, spaces: 1, pages: 1 },
        indexLagMs: 0
      }
    )
    await new Browser(service.app).connect('jira')
    await waitForRun(service.app, 'jira')
    service.sandbox.state.maxSearchResults = CHAIN_LENGTH
    for (let listing = 0; listing < 2; listing++) {
      t.match(await runSync({ service, product: 'jira' }), {
        state: 'succeeded',
        counts: { removed: 0, seen: ISSUE_COUNT + 1 }
      })
    }
    t.equal((await listItems(service, 'issues')).length, Math.min(ISSUE_COUNT, 1000))
  }
)
