import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { many, service } from '../auth/helper.ts'
import { Browser, synced } from '../helper.ts'
import { copy, lanes, list, OF, PAGES, SIZES, type Collection, type Lane } from './faults-helper.ts'

/** What ends a listing early, and says so or not. */
interface Early {
  title: string
  collection: Collection
  path: string
  skip?: number
  body: object
  code: string
}

const EARLY: Early[] = [
  {
    title: 'Jira counts more projects than it lists',
    collection: 'projects',
    path: '/project/search',
    skip: 1,
    body: { values: [], total: SIZES.projects, isLast: true },
    code: 'listing_incomplete'
  },
  {
    title: 'Jira lists no more projects, and does not call it the end',
    collection: 'projects',
    path: '/project/search',
    skip: 1,
    body: { values: [], total: SIZES.projects, isLast: false },
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
    title: 'Jira counts far more issues than it finds',
    collection: 'issues',
    path: '/search/approximate-count',
    body: { count: 2 * SIZES.issues },
    code: 'listing_incomplete'
  },
  {
    title: 'Jira finds no issue of those that it counts',
    collection: 'issues',
    path: '/search/jql',
    body: { issues: [], isLast: true },
    code: 'listing_empty'
  },
  {
    title: 'Confluence lists no page at all',
    collection: 'pages',
    path: '/api/v2/pages',
    body: { results: [], _links: {} },
    code: 'listing_empty'
  },
  {
    title: 'Confluence lists no space at all, without a word',
    collection: 'spaces',
    path: '/api/v2/spaces',
    body: { results: [], _links: {} },
    code: 'listing_empty'
  }
]

t.test(
  'A listing that ends early deletes nothing, not even what is gone, and is noticed, when',
  async (t) => {
    const [jira, confluence] = (await lanes(t, 1)) as [Lane, Lane]
    for (const [i, { title, collection, path, skip = 0, body, code }] of EARLY.entries()) {
      await t.test(title, async (t) => {
        const lane = OF.jira.includes(collection) ? jira : confluence
        const { here } = lane
        const before = await list(here, collection)
        const gone = await lose(lane, collection, i + 5)
        await here.sandbox.admin('faults', {
          kind: 'status',
          status: 200,
          body,
          match: { path },
          skip
        })
        t.match(await copy(lane), {
          state: 'partial',
          error: { code, detail: /\.$/ },
          counts: { added: 0, changed: 0, removed: 0, skipped: 0 }
        })
        t.same(await list(here, collection), before, 'the list is what it was')
        const { state, error, counts } = await copy(lane)
        t.match(
          { state, error, ...counts },
          {
            state: 'succeeded',
            error: null,
            added: 0,
            changed: 0,
            removed: gone === undefined ? 0 : 1,
            held: 0,
            skipped: 0
          },
          'the next run decides'
        )
        t.same(
          await list(here, collection),
          before.filter((row) => gone === undefined || (row.issue_id ?? row.page_id) !== gone)
        )
      })
    }
  }
)

/** Deletes an issue or a page at Atlassian. @returns its id */
async function lose(
  { here: { sandbox } }: Lane,
  collection: Collection,
  position: number
): Promise<string | undefined> {
  if (collection !== 'issues' && collection !== 'pages') return undefined
  const id = sandbox.world.sites[0]?.[collection].at(position)?.id
  await sandbox.admin(
    `${collection}/${id}`,
    collection === 'issues' ? { deleted: true } : { status: 'deleted' }
  )
  return id
}

t.test(
  'An estimate of the count that is a little wrong is no reason to doubt a listing',
  async (t) => {
    const [lane] = (await lanes(t, 1)) as [Lane]
    for (const count of [SIZES.issues + 4, SIZES.issues - 20, 0]) {
      await lane.here.sandbox.admin('faults', {
        kind: 'status',
        status: 200,
        body: { count },
        match: { path: '/search/approximate-count' }
      })
      t.match(
        await copy(lane),
        { state: 'succeeded', counts: { removed: 0 } },
        `${count} of ${SIZES.issues}`
      )
    }
  }
)

t.test(
  'A listing without its last page, and without a word, deletes nothing: what it did not show is looked for',
  async (t) => {
    const [, lane] = (await lanes(t, 1)) as [Lane, Lane]
    for (const [collection, path] of [
      ['pages', '/api/v2/pages'],
      ['spaces', '/api/v2/spaces']
    ] as const) {
      await lane.here.sandbox.admin('faults', {
        kind: 'status',
        status: 200,
        body: { results: [], _links: {} },
        match: { path },
        skip: PAGES - 1
      })
      t.match(await copy(lane), { state: 'succeeded', counts: { removed: 0, held: 0 } }, collection)
      t.equal((await list(lane.here, collection)).length, SIZES[collection])
    }
  }
)

t.test(
  'What Atlassian cannot make in time is asked for in halves, down to five, and then for more again; what has no size is asked for again',
  async (t) => {
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
    const [jira, confluence] = (await lanes(t, 1)) as [Lane, Lane]
    const smaller: Array<[lane: Lane, path: string, times: number, sizes: number[]]> = [
      [jira, '/project/search', 2, [100, 50, 25, 50]],
      [jira, '/search/jql', 2, [5000, 2500, 1250]],
      [jira, '/issue/bulkfetch', 2, [100, 50, 25, 50, 25]],
      [jira, '/search/approximate-count', 1, [0, 0]],
      [confluence, '/api/v2/spaces', 1, [250, 125, 250]],
      [confluence, '/api/v2/pages', 6, [250, 125, 62, 31, 15, 7, 5, 10, 20, 40, 80, 160]]
    ]
    for (const [lane, path, times, expected] of smaller) {
      watched = path
      sizes.length = 0
      await lane.here.sandbox.admin('faults', {
        kind: 'status',
        status: 504,
        match: { path },
        times
      })
      t.match(await copy(lane), { state: 'succeeded', counts: { removed: 0 } }, path)
      t.same(sizes.slice(0, expected.length), expected, `${path}: ${sizes.join(', ')}`)
    }
    await confluence.here.sandbox.admin('faults', {
      kind: 'status',
      status: 504,
      match: { path: '/api/v2/pages' },
      times: 1_000
    })
    t.match(
      await copy(confluence),
      { state: 'partial', error: { code: 'upstream_failed' }, counts: { removed: 0 } },
      'there is an end to it'
    )
    await confluence.here.sandbox.admin('faults', undefined, 'DELETE')
    t.match(await copy(confluence), { state: 'succeeded', counts: { removed: 0 } })
  }
)

const [ISSUES, CHAIN] = [many(300, 3_000), many(120, 1_200)]

t.test(
  `A chain of ${CHAIN} that ends without a word is not taken for all of ${ISSUES} issues`,
  async (t) => {
    const here = await service(
      t,
      { ATLASSIAN_HOURLY_POINTS: '100000000', SYNC_INTERVAL: '0' },
      {
        sizes: { projects: 1, issues: ISSUES, spaces: 1, pages: 1 },
        indexLagMs: 0,
        longestSearch: CHAIN
      }
    )
    await new Browser(here.app).connect('jira')
    t.match(await synced(here.app, 'jira'), {
      state: 'partial',
      error: { code: 'listing_incomplete' },
      counts: { added: 1 + CHAIN, removed: 0 }
    })
    t.equal((await list(here, 'issues')).length, Math.min(CHAIN, 1000))
    here.sandbox.world.longestSearch = 126_000
    t.match(await copy({ here, product: 'jira' }), {
      state: 'succeeded',
      counts: { added: ISSUES - CHAIN }
    })
    here.sandbox.world.longestSearch = CHAIN
    const removed = [
      await copy({ here, product: 'jira' }),
      await copy({ here, product: 'jira' })
    ].map(({ state, error, counts }) => [state, error?.code, counts.removed])
    t.same(
      removed,
      [
        ['partial', 'listing_incomplete', 0],
        ['partial', 'listing_incomplete', 0]
      ],
      'twice in a row it deletes nothing either'
    )
  }
)
