import type { FastifyInstance } from 'fastify'
import { many, service, type Product, type Service } from '../auth/helper.ts'
import { Browser, synced, type Test } from '../helper.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'

export type Collection = 'projects' | 'issues' | 'spaces' | 'pages'
type Row = Record<string, any>

/** Calls of one listing in the heavy run and in the light one. */
export const PAGES = many(2, 4)
/** What comes with one call at most. */
const FULL: Record<Collection, number> = { projects: 100, issues: 100, spaces: 250, pages: 250 }
export const SIZES = Object.fromEntries(
  Object.entries(FULL).map(([name, full]) => [name, full * (PAGES - 1) + 1])
) as Record<Collection, number>
export const OF: Record<Product, readonly Collection[]> = {
  jira: ['projects', 'issues'],
  confluence: ['spaces', 'pages']
}
/** Issues are counted and searched for before they are fetched. */
const CALLS: Record<Collection, number> = {
  projects: PAGES,
  issues: 2 + PAGES,
  spaces: PAGES,
  pages: PAGES
}

/** One of the calls that copy a collection: the k-th of those with this path. */
export interface Place {
  product: Product
  collection: Collection
  path: string
  k: number
}

const place = (product: Product, collection: Collection, path: string, most = PAGES): Place[] =>
  Array.from({ length: most }, (_, i) => ({ product, collection, path, k: i + 1 }))

/** Every call of a full copy. */
export const PLACES: readonly Place[] = [
  ...place('jira', 'projects', '/project/search'),
  ...place('jira', 'issues', '/search/approximate-count', 1),
  ...place('jira', 'issues', '/search/jql', 1),
  ...place('jira', 'issues', '/issue/bulkfetch'),
  ...place('confluence', 'spaces', '/api/v2/spaces'),
  ...place('confluence', 'pages', '/api/v2/pages')
]

/** All of them in the heavy run; in the light one, for each collection one of them in turn. */
export function placesFor(turn: number): Place[] {
  return Object.values(OF)
    .flat()
    .flatMap((name, i) => {
      const found = PLACES.filter(({ collection }) => collection === name)
      return many(1, 2) === 2 ? found : (found[(turn + i) % found.length] ?? [])
    })
}

/** How many items are there before the place is reached, and how many calls it takes up to it. */
export function upTo({ collection, path, k }: Place): { items: number; calls: number } {
  const asked = /count/.test(path) ? 0 : /jql/.test(path) ? 1 : collection === 'issues' ? 2 : 0
  return { items: (k - 1) * FULL[collection], calls: asked + k }
}

/** What a full copy of a product comes to when nothing is in the way. */
export function undisturbed(product: Product): { items: number; calls: number } {
  const sum = (of: Record<Collection, number>) =>
    OF[product].reduce((total, name) => total + of[name], 0)
  return { items: sum(SIZES), calls: sum(CALLS) }
}

export const callsOf = (collection: Collection): number => CALLS[collection]

export interface Lane {
  here: Service
  product: Product
}

/** Services with both products copied; each of them can be at work on one product and on the other at the same time. */
export async function lanes(
  t: Test,
  services: number,
  env: NodeJS.ProcessEnv = {},
  sandbox: SandboxOptions = {}
): Promise<Lane[]> {
  const found: Lane[] = []
  for (let i = 0; i < services; i++) {
    const here = await service(
      t,
      {
        UPSTREAM_ANSWER_TIMEOUT_MS: '2000',
        SYNC_INTERVAL: '0',
        ATLASSIAN_HOURLY_POINTS: '100000000',
        ...env
      },
      { sizes: SIZES, indexLagMs: 0, logKept: 100_000, ...sandbox }
    )
    for (const [index, product] of (['jira', 'confluence'] as const).entries()) {
      await new Browser(here.app).connect(product)
      const run = await synced(here.app, product, index + 1)
      if (run.state !== 'succeeded') {
        throw new Error(`The first copy did not succeed: ${JSON.stringify(run)}`)
      }
      found.push({ here, product })
    }
  }
  return found
}

/** Hands the rows of each product to its lanes, to whichever is free. */
export async function shared<T extends { place: Place }>(
  lanes: Lane[],
  rows: T[],
  run: (lane: Lane, row: T) => Promise<void>
): Promise<void> {
  const waiting = [...rows]
  await Promise.all(
    lanes.map(async (lane) => {
      while (true) {
        const at = waiting.findIndex(({ place }) => place.product === lane.product)
        if (at < 0) return
        const [row] = waiting.splice(at, 1)
        if (row !== undefined) await run(lane, row)
      }
    })
  )
}

export async function start(
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

export async function copy({ here: { app }, product }: Lane, mode = 'full'): Promise<Row> {
  return await synced(app, product, await start(app, product, mode))
}

export async function run(
  { app }: Pick<Service, 'app'>,
  product: Product,
  id: number
): Promise<Row> {
  return (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json() as Row
}

/** Waits until a run is put aside, or has ended. */
export async function settled(
  here: Pick<Service, 'app'>,
  product: Product,
  id: number
): Promise<Row> {
  for (let i = 0; i < 3_000; i++) {
    const found = await run(here, product, id)
    if (!['queued', 'running'].includes(found.state as string)) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('The run neither ended nor was put aside')
}

export async function list(
  { app }: Pick<Service, 'app'>,
  collection: Collection,
  owner = 1
): Promise<Row[]> {
  const product = OF.jira.includes(collection) ? 'jira' : 'confluence'
  return (await app.inject(`/${product}/${collection}/${owner}?limit=1000`)).json() as Row[]
}

const NAMES: Record<Collection, string> = {
  projects: 'name',
  issues: 'summary',
  spaces: 'name',
  pages: 'title'
}
let renamed = 0

/** Renames at Atlassian what its listing shows last. @returns whether a list has the name */
export async function renameLast(
  { here: { sandbox, app } }: Lane,
  collection: Collection
): Promise<(rows: Row[]) => boolean> {
  const [site] = sandbox.world.sites
  const id =
    collection === 'projects'
      ? (await list({ app }, 'projects'))
          .map(({ key }) => key as string)
          .sort()
          .at(-1)
      : site?.[collection].at(site[collection].end() - 1)?.id
  const name = `Renamed ${++renamed}`
  await sandbox.admin(`${collection}/${id}`, { [NAMES[collection]]: name })
  return (rows) => rows.some((row) => row[NAMES[collection]] === name)
}
