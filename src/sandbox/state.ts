import { createSandboxClock } from './clock.ts'
import type { SandboxClock } from './clock.ts'
import { DEMO_CLIENT } from './oauth/clients.ts'
import type { SandboxClient } from './oauth/clients.ts'
import { COLLECTIONS } from './data/collections.ts'
import { createExpiringMap } from './expiring-map.ts'
import type { ExpiringMap } from './expiring-map.ts'
import { createFaults } from './admin/faults.ts'
import type { Faults } from './admin/faults.ts'
import { createSandboxGrants } from './oauth/grants.ts'
import type { SandboxGrants } from './oauth/grants.ts'
import { createJwtSigner } from './oauth/jwt.ts'
import type { JwtSigner } from './oauth/jwt.ts'
import { createSandboxLimits } from './gateway/limits.ts'
import type { SandboxLimits } from './gateway/limits.ts'
import { createSite, defaultSites, DEFAULT_SIZES } from './data/sites.ts'
import type { Product, SandboxSite, SandboxSiteOptions, SiteSizes } from './data/sites.ts'
import { createSandboxStats } from './gateway/stats.ts'
import type { SandboxStats } from './gateway/stats.ts'
import { DANA, SAM } from './oauth/users.ts'
import type { SandboxUser } from './oauth/users.ts'

export interface SandboxOptions {
  /** The same seed gives the same data. */
  seed?: number | undefined
  /** For sites that do not say otherwise; with the default sites Globex is a sixth of it. */
  sizes?: Partial<SiteSizes> | undefined
  sites?: readonly SandboxSiteOptions[] | undefined
  /** Who can sign in; the first is taken when nobody is chosen. */
  users?: readonly SandboxUser[] | undefined
  clients?: readonly SandboxClient[] | undefined
  /** Milliseconds since the epoch. */
  now?: (() => number) | undefined
  /** Size of the burst bucket of one tenant and endpoint, in calls; two sevenths of it come back each second. */
  burst?: number | undefined
  /** Points an app may spend in one hour, over all sites. */
  hourlyPoints?: number | undefined
  /** How far search may be behind, in milliseconds of world time; each item is behind by half of it to all of it. */
  indexLagMs?: number | undefined
  /**
   * Issues after which a chain of `search/jql` pages ends without a word, however many more there
   * are (docs/reference/atlassian.md#83-jql-search).
   */
  maxSearchResults?: number | undefined
  /** Calls that the log in the stats remembers. */
  maxLogEntries?: number | undefined
}

export type SandboxClients = Map<string, SandboxClient>

/** Which products of which sites a person may use. Everything, until the admin API takes it away. */
interface ProductAccess {
  has: (accountId: string, cloudId: string, product: Product) => boolean
  set: (accountId: string, cloudId: string, product: Product, granted: boolean) => void
}

/** What a code stands for until it is exchanged. */
interface AuthorizationCode {
  clientId: string
  accountId: string
  redirectUri: string
}

export interface SandboxState {
  seed: number
  now: () => number
  clock: SandboxClock
  sites: readonly SandboxSite[]
  users: readonly SandboxUser[]
  clients: SandboxClients
  access: ProductAccess
  /** What became of people's accounts, where anything did, and when. */
  accounts: Map<string, { status: 'closed' | 'updated'; at: number }>
  signer: JwtSigner
  codes: ExpiringMap<AuthorizationCode>
  grants: SandboxGrants
  faults: Faults
  limits: SandboxLimits
  stats: SandboxStats
  maxSearchResults: number
  /** How far search may be behind, in milliseconds. */
  indexLagMs: () => number
  setIndexLag: (ms: number) => void
  /** Counts up: for what has to differ from call to call and yet be the same in every run. */
  tick: () => number
  /** Back to the beginning: data, clock, grants, faults, limits, counts. */
  reset: () => void
}

const CODE_LIFETIME_MS = 10 * 60_000
const MAX_CODES = 10_000
const DEFAULT_INDEX_LAG_MS = 60_000

/** A small Atlassian: sites with data, people, apps, and what they granted each other. Nothing in it outlives the process. */
export function createSandboxState(options: SandboxOptions = {}): SandboxState {
  const {
    seed = 1,
    now: realNow = Date.now,
    burst = 350,
    hourlyPoints = 65_000,
    maxSearchResults = 126_000,
    maxLogEntries = 1000
  } = options
  const clock = createSandboxClock(realNow)
  const lagClock = { now: clock.now, lagMs: () => lagMs }
  const sizes = { ...DEFAULT_SIZES, ...options.sizes }
  const createSites = () =>
    (options.sites ?? defaultSites(sizes)).map((site) => createSite(site, sizes, seed, lagClock))
  const initialClients = options.clients ?? [DEMO_CLIENT]
  let lagMs = options.indexLagMs ?? DEFAULT_INDEX_LAG_MS
  let ticks = 0
  let revoked = new Set<string>()

  const state: SandboxState = {
    seed,
    clock,
    now: clock.now,
    sites: createSites(),
    users: options.users ?? [DANA, SAM],
    clients: new Map(initialClients.map((client) => [client.id, client])),
    access: {
      has: (...key) => !revoked.has(key.join()),
      set: (accountId, cloudId, product, granted) => {
        const key = [accountId, cloudId, product].join()
        if (granted) revoked.delete(key)
        else revoked.add(key)
      }
    },
    accounts: new Map(),
    signer: createJwtSigner(),
    codes: createExpiringMap<AuthorizationCode>(CODE_LIFETIME_MS, MAX_CODES, clock.now),
    grants: createSandboxGrants(clock.now),
    faults: createFaults(),
    limits: createSandboxLimits({ burst, hourlyPoints, now: clock.now }),
    stats: createSandboxStats(maxLogEntries),
    maxSearchResults,
    indexLagMs: () => lagMs,
    setIndexLag: (ms) => {
      for (const site of state.sites) {
        for (const collection of COLLECTIONS) site[collection].settleIndex()
      }
      lagMs = ms
    },
    tick: () => ticks++,
    reset: () => {
      clock.reset()
      lagMs = options.indexLagMs ?? DEFAULT_INDEX_LAG_MS
      for (const part of [
        state.codes,
        state.grants,
        state.faults,
        state.limits,
        state.stats,
        state.accounts
      ]) {
        part.clear()
      }
      state.sites = createSites()
      state.clients = new Map(initialClients.map((client) => [client.id, client]))
      revoked = new Set()
      ticks = 0
    }
  }
  return state
}
