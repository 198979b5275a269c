import { createClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { DEMO_CLIENT } from './oauth/clients.ts'
import type { Client } from './oauth/clients.ts'
import { COLLECTIONS } from './data/collections.ts'
import { createExpiringMap } from './expiring-map.ts'
import type { ExpiringMap } from './expiring-map.ts'
import { createFaults } from './admin/faults.ts'
import type { Faults } from './admin/faults.ts'
import { createGrants } from './oauth/grants.ts'
import type { Grants } from './oauth/grants.ts'
import { createSigner } from './oauth/jwt.ts'
import type { Signer } from './oauth/jwt.ts'
import { createLimits } from './gateway/limits.ts'
import type { Limits } from './gateway/limits.ts'
import { createSite, defaultSites, SIZES } from './data/sites.ts'
import type { Product, Site, SiteOptions, Sizes } from './data/sites.ts'
import { createStats } from './gateway/stats.ts'
import type { Stats } from './gateway/stats.ts'
import { DANA, SAM } from './oauth/users.ts'
import type { User } from './oauth/users.ts'

export interface SandboxOptions {
  /** The same seed gives the same data. */
  seed?: number
  /** For sites that do not say otherwise; with the default sites Globex is a sixth of it. */
  sizes?: Partial<Sizes>
  sites?: readonly SiteOptions[]
  /** Who can sign in; the first is taken when nobody is chosen. */
  users?: readonly User[]
  clients?: readonly Client[]
  /** Milliseconds since the epoch. */
  now?: () => number
  /** Size of the burst bucket of one tenant and endpoint, in calls; two sevenths of it come back each second. */
  burst?: number
  /** Points an app may spend in one hour, over all sites. */
  hourlyPoints?: number
  /** How far search may be behind, in milliseconds of world time; each item is behind by half of it to all of it. */
  indexLagMs?: number
  /** Issues after which a chain of `search/jql` pages ends without a word, however many more there are (atlassian.md 8.3). */
  longestSearch?: number
  /** Calls that the log in the stats remembers. */
  logKept?: number
}

export type Clients = Map<string, Client>

/** Which products of which sites a person may use. Everything, until the admin API takes it away. */
export interface Access {
  has: (accountId: string, cloudId: string, product: Product) => boolean
  set: (accountId: string, cloudId: string, product: Product, granted: boolean) => void
}

/** What a code stands for until it is exchanged. */
export interface Code {
  clientId: string
  accountId: string
  redirectUri: string
}

export interface World {
  seed: number
  now: () => number
  clock: Clock
  sites: readonly Site[]
  users: readonly User[]
  clients: Clients
  access: Access
  /** What became of people's accounts, where anything did, and when. */
  accounts: Map<string, { status: 'closed' | 'updated'; at: number }>
  signer: Signer
  codes: ExpiringMap<Code>
  grants: Grants
  faults: Faults
  limits: Limits
  stats: Stats
  longestSearch: number
  /** How far search may be behind, in milliseconds. */
  indexLagMs: () => number
  setIndexLag: (ms: number) => void
  /** Counts up: for what has to differ from call to call and yet be the same in every run. */
  tick: () => number
  /** Back to the beginning: data, clock, grants, faults, limits, counts. */
  reset: () => void
}

const CODE_LIFE_MS = 10 * 60_000
const CODES_KEPT = 10_000
const INDEX_LAG_MS = 60_000

/** A small Atlassian: sites with data, people, apps, and what they granted each other. Nothing in it outlives the process. */
export function createWorld(options: SandboxOptions = {}): World {
  const {
    seed = 1,
    now: real = Date.now,
    burst = 350,
    hourlyPoints = 65_000,
    longestSearch = 126_000,
    logKept = 1000
  } = options
  const clock = createClock(real)
  const pace = { now: clock.now, lagMs: () => lagMs }
  const sizes = { ...SIZES, ...options.sizes }
  const createSites = () =>
    (options.sites ?? defaultSites(sizes)).map((site) => createSite(site, sizes, seed, pace))
  const givenClients = options.clients ?? [DEMO_CLIENT]
  let lagMs = options.indexLagMs ?? INDEX_LAG_MS
  let ticks = 0
  let revoked = new Set<string>()

  const world: World = {
    seed,
    clock,
    now: clock.now,
    sites: createSites(),
    users: options.users ?? [DANA, SAM],
    clients: new Map(givenClients.map((client) => [client.id, client])),
    access: {
      has: (...key) => !revoked.has(key.join()),
      set: (accountId, cloudId, product, granted) => {
        const key = [accountId, cloudId, product].join()
        if (granted) revoked.delete(key)
        else revoked.add(key)
      }
    },
    accounts: new Map(),
    signer: createSigner(),
    codes: createExpiringMap<Code>(CODE_LIFE_MS, CODES_KEPT, clock.now),
    grants: createGrants(clock.now),
    faults: createFaults(),
    limits: createLimits({ burst, hourlyPoints, now: clock.now }),
    stats: createStats(logKept),
    longestSearch,
    indexLagMs: () => lagMs,
    setIndexLag: (ms) => {
      for (const site of world.sites) {
        for (const collection of COLLECTIONS) site[collection].settle()
      }
      lagMs = ms
    },
    tick: () => ticks++,
    reset: () => {
      clock.reset()
      lagMs = options.indexLagMs ?? INDEX_LAG_MS
      for (const part of [
        world.codes,
        world.grants,
        world.faults,
        world.limits,
        world.stats,
        world.accounts
      ]) {
        part.clear()
      }
      world.sites = createSites()
      world.clients = new Map(givenClients.map((client) => [client.id, client]))
      revoked = new Set()
      ticks = 0
    }
  }
  return world
}
