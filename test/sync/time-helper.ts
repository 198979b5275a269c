import type { CallLogEntry } from '../../src/sandbox/gateway/stats.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import {
  Browser,
  buildAppWithSandbox,
  waitForRun,
  type TestApp,
  PRODUCTS,
  type Product
} from '../helper.ts'
import type { RunningSandbox } from '../sandbox/helper.ts'
import type { JsonObject, TestContext } from '../types.ts'
import {
  listItems,
  COLLECTIONS_BY_PRODUCT,
  getRun,
  startSync,
  type CollectionName
} from './faults-helper.ts'

export const COLLECTIONS = ['projects', 'issues', 'spaces', 'pages'] as const

/** The field that identifies an item, in responses and in the sandbox's admin API. */
const ID_FIELDS: Record<CollectionName, string> = {
  projects: 'key',
  issues: 'issue_id',
  spaces: 'space_id',
  pages: 'page_id'
}
const DELETE_PATCHES: Record<CollectionName, object> = {
  projects: { deleted: true },
  issues: { deleted: true },
  spaces: { deleted: true },
  pages: { status: 'deleted' }
}
const RESTORE_PATCHES: Record<CollectionName, object> = {
  projects: { deleted: false },
  issues: { deleted: false },
  spaces: { deleted: false },
  pages: { status: 'current' }
}
/** Paths that request a single item. */
const ITEM_PATHS: Record<CollectionName, RegExp> = {
  projects: /\/project\/\d+$/,
  issues: /\/issue\/\d+$/,
  spaces: /\/v2\/spaces\/\d+$/,
  pages: /\/v2\/pages\/\d+$/
}

export interface SyncFixture extends TestApp {
  sandbox: RunningSandbox
  /** Advances the clocks of the service and the sandbox. */
  advanceTime: (ms: number) => void
  /** Sets the offset of the service's clock only. */
  setClockOffset: (ms: number) => void
  /** Syncs a product and waits for the end of the run. */
  runSync: (product: Product, mode?: string, owner?: number) => Promise<JsonObject>
  listNames: (collection: CollectionName, owner?: number) => Promise<string[]>
  /** The entry of one item in its list. */
  findItem: (collection: CollectionName, name: string) => Promise<JsonObject | undefined>
  remove: (collection: CollectionName, ...names: string[]) => Promise<void>
  restore: (collection: CollectionName, ...names: string[]) => Promise<void>
  /** The calls to the sandbox during `act`. */
  recordCalls: (act: () => Promise<unknown>) => Promise<CallLogEntry[]>
  getConnection: (product: Product, owner?: number) => Promise<JsonObject>
}

export interface SyncFixtureOptions {
  env?: NodeJS.ProcessEnv
  sandbox?: SandboxOptions
  /** Start of the clock, in milliseconds since the epoch. Default: now. */
  startAtMs?: number
  products?: readonly Product[]
}

/**
 * A service with a manual clock and both products copied. The schedule is off unless `env`
 * enables it.
 */
export async function createSyncFixture(
  t: TestContext,
  { env = {}, sandbox = {}, startAtMs = Date.now(), products = PRODUCTS }: SyncFixtureOptions = {}
): Promise<SyncFixture> {
  let [timeOffsetMs, clockOffsetMs] = [startAtMs - Date.now(), 0]
  const now = () => Date.now() + timeOffsetMs
  const testApp = await buildAppWithSandbox(t, {
    env: {
      SYNC_INTERVAL: '0',
      ATLASSIAN_HOURLY_POINTS: '100000000',
      ...env
    },
    sandbox: { ...SMALL_SANDBOX, indexLagMs: 0, maxLogEntries: 100_000, ...sandbox, now },
    now: () => now() + clockOffsetMs
  })
  const { app } = testApp
  const patchItems =
    (patch: Record<CollectionName, object>) =>
    async (collection: CollectionName, ...names: string[]) => {
      for (const name of names) {
        await testApp.sandbox.admin(`${collection}/${name}`, patch[collection])
      }
    }
  const fixture: SyncFixture = {
    ...testApp,
    advanceTime: (ms) => {
      timeOffsetMs += ms
    },
    setClockOffset: (ms) => {
      clockOffsetMs = ms
    },
    runSync: async (product, mode = 'full', owner = 1) =>
      await waitForRun(app, product, await startSync(app, product, mode, owner)),
    listNames: async (collection, owner = 1) =>
      (await listItems(fixture, collection, owner)).map((row) => row[ID_FIELDS[collection]]),
    findItem: async (collection, name) =>
      (await listItems(fixture, collection)).find((row) => row[ID_FIELDS[collection]] === name),
    remove: patchItems(DELETE_PATCHES),
    restore: patchItems(RESTORE_PATCHES),
    async recordCalls(act) {
      const before = testApp.sandbox.state.stats.snapshot().log.length
      await act()
      return testApp.sandbox.state.stats.snapshot().log.slice(before)
    },
    getConnection: async (product, owner = 1) =>
      (await app.inject(`/users/${owner}/connections`))
        .json()
        .connections.find((each: JsonObject) => each.product === product)
  }
  for (const product of products) {
    await new Browser(app).connect(product)
    const [{ id }] = (await app.inject(`/integrations/${product}/sync/runs`)).json()
    const first = await waitForRun(app, product, id)
    if (first.state !== 'succeeded') {
      throw new Error(`The first copy did not succeed: ${JSON.stringify(first)}`)
    }
  }
  return fixture
}

export function getProduct(collection: CollectionName): Product {
  return COLLECTIONS_BY_PRODUCT.jira.includes(collection) ? 'jira' : 'confluence'
}

/** The statuses of calls for single items of a collection. */
export function listLookupStatuses(log: CallLogEntry[], collection: CollectionName): number[] {
  return log.filter(({ path }) => ITEM_PATHS[collection].test(path)).map(({ status }) => status)
}

/** The path of an item's URL at Atlassian, as far as it depends on the item. */
export function getItemPath(
  { sandbox: { state } }: Pick<SyncFixture, 'sandbox'>,
  collection: CollectionName,
  name: string
): string {
  const id = collection === 'projects' ? state.sites[0]?.projects.findByKey(name)?.id : name
  return `/${collection === 'projects' ? 'project' : collection === 'issues' ? 'issue' : collection}/${id}`
}

export { getRun, startSync, waitForRun, type CollectionName }
