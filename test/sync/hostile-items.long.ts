import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { Browser, waitForRun, PRODUCTS } from '../helper.ts'
import type { TestContext } from '../types.ts'
import { runSync, listItems, type CollectionName } from './faults-helper.ts'

const SIZES = { projects: 8, issues: 24, spaces: 8, pages: 24 }
const CLOUD_ID_PATTERN = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
/** All paths that the service may call, without queries. */
const ALLOWED_PATHS = new RegExp(
  `^/(?:ex/jira/${CLOUD_ID_PATTERN}/rest/api/3/(` +
    '?:project/search|project/\\d+|issue/\\d+|issue/bulkfetch|search/jql|search' +
    `/approximate-count)|ex/confluence/${CLOUD_ID_PATTERN}/wiki/(` +
    '?:rest/api/search|api/v2/(?:pages|spaces)(?:/\\d+)?)|oauth/token(' +
    '?:/accessible-resources)?|me)$'
)
const ALLOWED_QUERIES = [
  /^project is not EMPTY(?: order by created asc)?$/,
  /^created >= "-\d+[md]" order by created asc$/,
  /^updated >= "-\d+[md]" order by updated asc$/,
  /^type = page and lastmodified >= now\("-\d+[md]"\) order by lastmodified asc$/
]

/** Values that would change a query, a path or a statement. */
const HOSTILE_VALUES = [
  '" OR project is not EMPTY ORDER BY key --',
  "') or type = page or (title ~ '",
  "'; drop table pages; --",
  '") union select 1 --',
  '\\" or 1=1',
  '../../../user?x=',
  '%',
  '__'
]
/** Ids with path traversal. */
const TRAVERSING_IDS = [
  '../../user',
  '1/../../x',
  '1?x=1',
  '1#',
  '%2e%2e',
  '-1',
  '1e3',
  ' 1',
  'abc',
  '999999999999999999999'
]

interface UpstreamRequest {
  path: string
  query: URLSearchParams
  body: string
}

/** Every request during the test, except those of the test itself. */
function recordRequests(t: TestContext): UpstreamRequest[] {
  const requests: UpstreamRequest[] = []
  const recordRequest = (message: unknown) => {
    const { path, body } = (message as { request: { path: string; body: unknown } }).request
    const { pathname, searchParams } = new URL(path, 'http://upstream.invalid')
    // The raw path: a URL parser would resolve the traversal.
    if (!/^\/(admin\/|authorize\?)/.test(path)) {
      requests.push({
        path: /\.\.|%2e/i.test(path) ? path : pathname,
        query: searchParams,
        body: body instanceof Uint8Array ? Buffer.from(body).toString() : ''
      })
    }
  }
  diagnostics.subscribe('undici:request:create', recordRequest)
  t.teardown(() => diagnostics.unsubscribe('undici:request:create', recordRequest))
  return requests
}

const getSite = ({ sandbox }: TestService) => sandbox.state.sites[0]
const getItemId = (service: TestService, name: CollectionName, position: number) =>
  getSite(service)?.[name].at(position)?.id ?? ''
const corruptItem = async (
  { sandbox }: TestService,
  collection: CollectionName,
  id: string,
  fields: object | null
) => await sandbox.admin('spoil', { collection, id, fields })

async function startSyncedTestService(
  t: TestContext,
  prepare: (service: TestService) => Promise<void> = async () => {}
): Promise<TestService> {
  const service = await startTestService(
    t,
    { SYNC_INTERVAL: '0', ATLASSIAN_HOURLY_POINTS: '100000000' },
    { sizes: SIZES, indexLagMs: 0 }
  )
  await prepare(service)
  for (const [i, product] of PRODUCTS.entries()) {
    await new Browser(service.app).connect(product)
    await waitForRun(service.app, product, i + 1)
  }
  return service
}

t.test(
  'T14 Names and keys do not change queries: calls are as expected and stored values equal the listed ones',
  async (t) => {
    const service = await startSyncedTestService(t, async (service) => {
      for (const [i, text] of HOSTILE_VALUES.entries()) {
        await corruptItem(service, 'projects', getItemId(service, 'projects', i), {
          key: `${text}P`,
          name: text,
          'lead.displayName': text
        })
        await corruptItem(service, 'issues', getItemId(service, 'issues', i), {
          key: `${text}-${i}`,
          'fields.summary': text,
          'fields.project.key': text,
          'fields.status.name': text,
          'fields.updated': text
        })
        await corruptItem(service, 'spaces', getItemId(service, 'spaces', i), {
          key: `${text}S`,
          name: text
        })
        await corruptItem(service, 'pages', getItemId(service, 'pages', i), {
          title: text,
          status: text,
          'version.createdAt': text
        })
      }
    })
    // Covers full syncs, incremental syncs and look-ups of missing items.
    const requests = recordRequests(t)
    await service.sandbox.admin(`issues/${getItemId(service, 'issues', 20)}`, { deleted: true })
    await service.sandbox.admin(`pages/${getItemId(service, 'pages', 20)}`, { status: 'deleted' })
    await service.sandbox.admin(`pages/${getItemId(service, 'pages', 2)}`, { body: '<p/>' })
    await service.sandbox.admin(`issues/${getItemId(service, 'issues', 2)}`, { status: 'Done' })
    for (const product of PRODUCTS) {
      for (const mode of ['incremental', 'full']) {
        t.match(await runSync({ service, product }, mode), {
          state: 'succeeded',
          counts: { removed: mode === 'full' ? 1 : 0 }
        })
      }
    }

    const queries = requests
      .flatMap(({ query, body }) => [
        query.get('cql'),
        query.get('jql'),
        body.includes('"jql"') ? JSON.parse(body).jql : null
      ])
      .filter((each) => each !== null) as string[]
    t.same(
      ALLOWED_QUERIES.map((allowed) => queries.some((each) => allowed.test(each))),
      [true, false, true, true],
      'full and incremental syncs sent these queries'
    )
    t.same(
      queries.filter((each) => !ALLOWED_QUERIES.some((allowed) => allowed.test(each))),
      []
    )
    t.same(
      [...new Set(requests.map(({ path }) => path).filter((path) => !ALLOWED_PATHS.test(path)))],
      []
    )
    const everything = JSON.stringify(
      requests.map(({ path, query, body }) => [decodeURIComponent(path), [...query], body])
    )
    for (const text of HOSTILE_VALUES.slice(0, 6)) {
      t.notOk(everything.includes(JSON.stringify(text).slice(1, -1)), text)
    }

    for (const [i, text] of HOSTILE_VALUES.entries()) {
      const has = async (url: string, query: object) =>
        (await service.app.inject({ url, query: query as Record<string, string> })).json() as Array<
          Record<string, unknown>
        >
      t.match(await has('/jira/projects/1', { project: `${text}P` }), [
        { key: `${text}P`, name: text }
      ])
      t.match(await has('/jira/issues/1', { project: text }), [
        { project_key: text, summary: text, key: `${text}-${i}` }
      ])
      t.match(await has('/confluence/spaces/1', { space: `${text}S` }), [
        { key: `${text}S`, name: text }
      ])
      const titles = (await has('/confluence/pages/1', { q: text })).map(({ title }) =>
        String(title)
      )
      t.ok(
        titles.includes(text) && titles.every((title) => title.includes(text)),
        `a search for ${text} finds only that item`
      )
    }
  }
)

t.test(
  'T17 An id that is not a number reaches no path; such an item is deleted after two complete listings',
  async (t) => {
    const requests = recordRequests(t)
    const service = await startSyncedTestService(t)
    const names = Object.keys(SIZES) as CollectionName[]
    const positions = { projects: 1, issues: 1, spaces: 1, pages: 10 }
    const walking = names
      .map((name) =>
        TRAVERSING_IDS.slice(0, 5).map((id, i) => ({
          name,
          id,
          real: getItemId(service, name, positions[name] + i)
        }))
      )
      .flat()
      .concat(
        TRAVERSING_IDS.slice(5).map((id, i) => ({
          name: 'pages',
          id,
          real: getItemId(service, 'pages', positions.pages + 5 + i)
        }))
      )
    for (const { name, id, real } of walking) await corruptItem(service, name, real, { id })
    for (const product of PRODUCTS) {
      for (const mode of ['full', 'incremental']) {
        t.match(
          await runSync({ service, product }, mode),
          { counts: { removed: 0 } },
          `${product} ${mode}`
        )
      }
    }
    const among = async (name: CollectionName) =>
      (await listItems(service, name)).map((row) => row.issue_id ?? row.space_id ?? row.page_id)
    const listedItems = walking.filter(({ name }) => name === 'pages' || name === 'spaces')
    for (const { name, id } of listedItems) t.ok((await among(name)).includes(id), `${name} ${id}`)
    for (const { name, real } of walking) await corruptItem(service, name, real, null)
    const removals: number[] = []
    for (let i = 0; i < 3; i++) {
      removals.push((await runSync({ service, product: 'confluence' })).counts.removed)
    }
    t.same(
      removals,
      [0, listedItems.length, 0],
      'they cannot be looked up, so it takes two listings'
    )
    for (const name of ['spaces', 'pages'] as const) {
      t.equal((await listItems(service, name)).length, SIZES[name])
    }
    t.same(
      [...new Set(requests.map(({ path }) => path).filter((path) => !ALLOWED_PATHS.test(path)))],
      []
    )
  }
)
