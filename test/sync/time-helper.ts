import type { Logged } from '../../src/sandbox/gateway/stats.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import { SMALL, type Product } from '../auth/helper.ts'
import { Browser, connected, synced, until as soon, type Built, type Test } from '../helper.ts'
import type { Running } from '../sandbox/helper.ts'
import { list, OF, run, start, type Collection } from './faults-helper.ts'

export type Row = Record<string, any>
export const PRODUCTS = ['jira', 'confluence'] as const
export const COLLECTIONS = ['projects', 'issues', 'spaces', 'pages'] as const
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** What names an item on the wire and in the sandbox's admin API. */
const NAMES: Record<Collection, string> = {
  projects: 'key',
  issues: 'issue_id',
  spaces: 'space_id',
  pages: 'page_id'
}
const GONE: Record<Collection, object> = {
  projects: { deleted: true },
  issues: { deleted: true },
  spaces: { deleted: true },
  pages: { status: 'deleted' }
}
const BACK: Record<Collection, object> = {
  projects: { deleted: false },
  issues: { deleted: false },
  spaces: { deleted: false },
  pages: { status: 'current' }
}
/** Asked for one item alone. */
const ALONE: Record<Collection, RegExp> = {
  projects: /\/project\/\d+$/,
  issues: /\/issue\/\d+$/,
  spaces: /\/v2\/spaces\/\d+$/,
  pages: /\/v2\/pages\/\d+$/
}

export interface Place extends Built {
  sandbox: Running
  /** Moves the time of the service and of the sandbox. */
  pass: (ms: number) => void
  /** Moves the clock of the service alone. */
  stray: (ms: number) => void
  /** Copies a product and waits for the end. */
  copy: (product: Product, mode?: string, owner?: number) => Promise<Row>
  names: (collection: Collection, owner?: number) => Promise<string[]>
  /** What is listed of one item. */
  item: (collection: Collection, name: string) => Promise<Row | undefined>
  remove: (collection: Collection, ...names: string[]) => Promise<void>
  restore: (collection: Collection, ...names: string[]) => Promise<void>
  /** What the sandbox was asked during `act`. */
  asked: (act: () => Promise<unknown>) => Promise<Logged[]>
  connection: (product: Product, owner?: number) => Promise<Row>
}

export interface PlaceOptions {
  env?: NodeJS.ProcessEnv
  sandbox?: SandboxOptions
  /** When it is, in milliseconds since the epoch. Default: now. */
  at?: number
  products?: readonly Product[]
}

/** A service whose time moves on demand, with both products copied. Nothing is copied by itself unless `env` says so. */
export async function place(
  t: Test,
  { env = {}, sandbox = {}, at = Date.now(), products = PRODUCTS }: PlaceOptions = {}
): Promise<Place> {
  let [ahead, astray] = [at - Date.now(), 0]
  const now = () => Date.now() + ahead
  const built = await connected(t, {
    env: { SYNC_INTERVAL: '0', ATLASSIAN_HOURLY_POINTS: '100000000', ...env },
    sandbox: { ...SMALL, indexLagMs: 0, logKept: 100_000, ...sandbox, now },
    now: () => now() + astray
  })
  const { app } = built
  const change =
    (patch: Record<Collection, object>) =>
    async (collection: Collection, ...names: string[]) => {
      for (const name of names) {
        await built.sandbox.admin(`${collection}/${name}`, patch[collection])
      }
    }
  const here: Place = {
    ...built,
    pass: (ms) => {
      ahead += ms
    },
    stray: (ms) => {
      astray = ms
    },
    copy: async (product, mode = 'full', owner = 1) =>
      await synced(app, product, await start(app, product, mode, owner)),
    names: async (collection, owner = 1) =>
      (await list(here, collection, owner)).map((row) => row[NAMES[collection]]),
    item: async (collection, name) =>
      (await list(here, collection)).find((row) => row[NAMES[collection]] === name),
    remove: change(GONE),
    restore: change(BACK),
    async asked(act) {
      const before = built.sandbox.world.stats.read().log.length
      await act()
      return built.sandbox.world.stats.read().log.slice(before)
    },
    connection: async (product, owner = 1) =>
      (await app.inject(`/users/${owner}/connections`))
        .json()
        .connections.find((each: Row) => each.product === product)
  }
  for (const product of products) {
    await new Browser(app).connect(product)
    const [{ id }] = (await app.inject(`/integrations/${product}/sync/runs`)).json()
    const first = await synced(app, product, id)
    if (first.state !== 'succeeded') {
      throw new Error(`The first copy did not succeed: ${JSON.stringify(first)}`)
    }
  }
  return here
}

export function productOf(collection: Collection): Product {
  return OF.jira.includes(collection) ? 'jira' : 'confluence'
}

/** The statuses of the calls that asked for one item of a collection. */
export function looks(log: Logged[], collection: Collection): number[] {
  return log.filter(({ path }) => ALONE[collection].test(path)).map(({ status }) => status)
}

/** An item's address at Atlassian, as far as it is its own. */
export function alone(
  { sandbox: { world } }: Pick<Place, 'sandbox'>,
  collection: Collection,
  name: string
): string {
  const id = collection === 'projects' ? world.sites[0]?.projects.byKey(name)?.id : name
  return `/${collection === 'projects' ? 'project' : collection === 'issues' ? 'issue' : collection}/${id}`
}

/** Waits until something is so. */
export async function until(
  what: () => boolean | Promise<boolean>,
  longestMs = 10_000
): Promise<void> {
  await soon(what, longestMs)
}

export { list, run, start, synced, type Collection }
