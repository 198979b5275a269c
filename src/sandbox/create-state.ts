import { createFaults } from './admin/faults.ts'
import { createSandboxClock } from './clock.ts'
import { COLLECTIONS } from './data/collections.ts'
import { createSite, defaultSites, DEFAULT_SIZES } from './data/sites.ts'
import { createExpiringMap } from './expiring-map.ts'
import { createSandboxLimits } from './gateway/limits.ts'
import { createSandboxStats } from './gateway/stats.ts'
import { DEMO_CLIENT } from './oauth/clients.ts'
import { createSandboxGrants } from './oauth/grants.ts'
import { createJwtSigner } from './oauth/jwt.ts'
import { ACCOUNT_SCOPES } from './oauth/scopes.ts'
import { MISSING_SECRET_TEXTS } from './oauth/token-endpoint.ts'
import { DANA, SAM } from './oauth/users.ts'
import { defaultProducts } from './products.ts'
import type { AuthorizationCode, SandboxOptions, SandboxState } from './state.ts'

const CODE_LIFETIME_MS = 10 * 60_000
const MAX_CODES = 10_000
const DEFAULT_INDEX_LAG_MS = 60_000

/**
 * Creates the state of the sandbox: sites with data, users, apps and grants. It is kept in
 * memory only.
 */
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
  const products = options.products ?? defaultProducts
  const productIds = products.map(({ id }) => id)
  const scopes = Object.assign(
    {},
    ACCOUNT_SCOPES,
    ...products.map((each) => each.scopes)
  ) as Record<string, string>
  const createSites = () =>
    (options.sites ?? defaultSites(sizes)).map((site) =>
      createSite({ products: productIds, ...site }, sizes, seed, lagClock)
    )
  const createClients = () =>
    new Map(
      (options.clients ?? [DEMO_CLIENT]).map((client) => [
        client.id,
        { scopes: Object.keys(scopes), ...client }
      ])
    )
  let lagMs = options.indexLagMs ?? DEFAULT_INDEX_LAG_MS
  let ticks = 0
  let revoked = new Set<string>()

  const state: SandboxState = {
    seed,
    clock,
    now: clock.now,
    products,
    scopes,
    sites: createSites(),
    users: options.users ?? [DANA, SAM],
    clients: createClients(),
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
    missingSecretText: MISSING_SECRET_TEXTS.unauthorized,
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
      state.clients = createClients()
      revoked = new Set()
      state.signer.setFormat('jwt')
      state.missingSecretText = MISSING_SECRET_TEXTS.unauthorized
      ticks = 0
    }
  }
  return state
}
