import type { FastifyInstance } from 'fastify'
import { pickByScale, startTestService, type TestService } from '../auth/helper.ts'
import { Browser, waitForRun, type Product } from '../helper.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import type { JsonObject, TestContext } from '../types.ts'

export type CollectionName = 'projects' | 'issues' | 'spaces' | 'pages'

/** Calls per listing at each scale. */
export const PAGE_COUNT = pickByScale(2, 4)
/** The maximum page size of each listing. */
const MAX_PAGE_SIZES: Record<CollectionName, number> = {
  projects: 100,
  issues: 100,
  spaces: 250,
  pages: 250
}
export const SANDBOX_SIZES = Object.fromEntries(
  Object.entries(MAX_PAGE_SIZES).map(([name, full]) => [name, full * (PAGE_COUNT - 1) + 1])
) as Record<CollectionName, number>
export const COLLECTIONS_BY_PRODUCT: Record<Product, readonly CollectionName[]> = {
  jira: ['projects', 'issues'],
  confluence: ['spaces', 'pages']
}
/** Issues are counted before they are listed. */
const CALLS_BY_COLLECTION: Record<CollectionName, number> = {
  projects: PAGE_COUNT,
  issues: 1 + PAGE_COUNT,
  spaces: PAGE_COUNT,
  pages: PAGE_COUNT
}

/** One call of a full sync: the k-th call with this path. */
export interface FaultPoint {
  product: Product
  collection: CollectionName
  path: string
  callNumber: number
}

const createFaultPoints = (
  product: Product,
  collection: CollectionName,
  path: string,
  count = PAGE_COUNT
): FaultPoint[] =>
  Array.from({ length: count }, (_, i) => ({ product, collection, path, callNumber: i + 1 }))

/** Every call of a full sync that it depends on. */
const FAULT_POINTS: readonly FaultPoint[] = [
  ...createFaultPoints('jira', 'projects', '/project/search'),
  ...createFaultPoints('jira', 'issues', '/search/jql'),
  ...createFaultPoints('confluence', 'spaces', '/api/v2/spaces'),
  ...createFaultPoints('confluence', 'pages', '/api/v2/pages')
]

/** All points at full scale; at the small scale one per collection, in rotation. */
export function selectFaultPoints(turn: number): FaultPoint[] {
  return Object.values(COLLECTIONS_BY_PRODUCT)
    .flat()
    .flatMap((name, i) => {
      const points = FAULT_POINTS.filter(({ collection }) => collection === name)
      return pickByScale(1, 2) === 2 ? points : (points[(turn + i) % points.length] ?? [])
    })
}

/** Items copied before the point, and calls up to and including it. */
export function countBefore({ collection, callNumber }: FaultPoint): {
  items: number
  calls: number
} {
  const previousCalls = collection === 'issues' ? 1 : 0
  return { items: (callNumber - 1) * MAX_PAGE_SIZES[collection], calls: previousCalls + callNumber }
}

/** Items and calls of a full sync without faults. */
export function countFullSync(product: Product): { items: number; calls: number } {
  const sum = (of: Record<CollectionName, number>) =>
    COLLECTIONS_BY_PRODUCT[product].reduce((total, name) => total + of[name], 0)
  return { items: sum(SANDBOX_SIZES), calls: sum(CALLS_BY_COLLECTION) }
}

export const countCalls = (collection: CollectionName): number => CALLS_BY_COLLECTION[collection]

export interface SyncLane {
  service: TestService
  product: Product
}

/** Services with both products copied; each can sync both products at the same time. */
export async function createLanes(
  t: TestContext,
  services: number,
  env: NodeJS.ProcessEnv = {},
  sandbox: SandboxOptions = {}
): Promise<SyncLane[]> {
  const createdLanes: SyncLane[] = []
  for (let i = 0; i < services; i++) {
    const service = await startTestService(
      t,
      {
        UPSTREAM_ANSWER_TIMEOUT_MS: '2000',
        SYNC_INTERVAL: '0',
        ATLASSIAN_HOURLY_POINTS: '100000000',
        ...env
      },
      { sizes: SANDBOX_SIZES, indexLagMs: 0, maxLogEntries: 100_000, ...sandbox }
    )
    for (const [index, product] of (['jira', 'confluence'] as const).entries()) {
      await new Browser(service.app).connect(product)
      const run = await waitForRun(service.app, product, index + 1)
      if (run.state !== 'succeeded') {
        throw new Error(`The first copy did not succeed: ${JSON.stringify(run)}`)
      }
      createdLanes.push({ service, product })
    }
  }
  return createdLanes
}

/** Distributes the rows of each product to the next free lane of that product. */
export async function distributeRows<T extends { place: FaultPoint }>(
  lanes: SyncLane[],
  rows: T[],
  run: (lane: SyncLane, row: T) => Promise<void>
): Promise<void> {
  const queue = [...rows]
  await Promise.all(
    lanes.map(async (lane) => {
      while (true) {
        const at = queue.findIndex(({ place }) => place.product === lane.product)
        if (at < 0) return
        const [row] = queue.splice(at, 1)
        if (row !== undefined) await run(lane, row)
      }
    })
  )
}

export async function startSync(
  app: FastifyInstance,
  product: Product,
  mode = 'full',
  owner = 1
): Promise<number> {
  const answer = await app.inject({
    method: 'POST',
    url: `/integrations/${product}/sync?mode=${mode}&owner_id=${owner}`
  })
  if (answer.statusCode !== 202) throw new Error(answer.body)
  return answer.json().id as number
}

export async function runSync(
  { service: { app }, product }: SyncLane,
  mode = 'full'
): Promise<JsonObject> {
  return await waitForRun(app, product, await startSync(app, product, mode))
}

export async function getRun(
  { app }: Pick<TestService, 'app'>,
  product: Product,
  id: number
): Promise<JsonObject> {
  return (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json() as JsonObject
}

/** Waits until a run is parked or has ended. */
export async function waitForRunToStop(
  service: Pick<TestService, 'app'>,
  product: Product,
  id: number
): Promise<JsonObject> {
  for (let i = 0; i < 3_000; i++) {
    const run = await getRun(service, product, id)
    if (!['queued', 'running'].includes(run.state as string)) return run
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('The run neither ended nor was put aside')
}

export async function listItems(
  { app }: Pick<TestService, 'app'>,
  collection: CollectionName,
  owner = 1
): Promise<JsonObject[]> {
  const product = COLLECTIONS_BY_PRODUCT.jira.includes(collection) ? 'jira' : 'confluence'
  return (await app.inject(`/${product}/${collection}/${owner}?limit=1000`)).json() as JsonObject[]
}

const NAME_FIELDS: Record<CollectionName, string> = {
  projects: 'name',
  issues: 'summary',
  spaces: 'name',
  pages: 'title'
}
let renameCount = 0

/**
 * Renames the last item of a listing at Atlassian. @returns a function that tells whether a list
 * contains the new name
 */
export async function renameLastItem(
  { service: { sandbox, app } }: SyncLane,
  collection: CollectionName
): Promise<(rows: JsonObject[]) => boolean> {
  const [site] = sandbox.state.sites
  const id =
    collection === 'projects'
      ? (await listItems({ app }, 'projects'))
          .map(({ key }) => key as string)
          .sort()
          .at(-1)
      : site?.[collection].at(site[collection].end() - 1)?.id
  const name = `Renamed ${++renameCount}`
  await sandbox.admin(`${collection}/${id}`, { [NAME_FIELDS[collection]]: name })
  return (rows) => rows.some((row) => row[NAME_FIELDS[collection]] === name)
}
