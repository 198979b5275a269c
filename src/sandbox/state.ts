import type { Faults } from './admin/faults.ts'
import type { SandboxClock } from './clock.ts'
import type { HiddenItems } from './data/restrictions.ts'
import type { SandboxSite, SandboxSiteOptions, SiteSizes } from './data/sites.ts'
import type { ExpiringMap } from './expiring-map.ts'
import type { SandboxResponse } from './gateway/answer.ts'
import type { SandboxLimits } from './gateway/limits.ts'
import type { SandboxStats } from './gateway/stats.ts'
import type { SandboxClient, SandboxClientOptions } from './oauth/clients.ts'
import type { SandboxGrants } from './oauth/grants.ts'
import type { JwtSigner } from './oauth/jwt.ts'
import type { ScopeRequirement } from './oauth/scopes.ts'
import type { SandboxUser } from './oauth/users.ts'

export interface SandboxOptions {
  /** The same seed gives the same data. */
  seed?: number | undefined
  /** For sites that do not say otherwise; with the default sites Globex is a sixth of it. */
  sizes?: Partial<SiteSizes> | undefined
  sites?: readonly SandboxSiteOptions[] | undefined
  /** What sites consist of; default: Jira and Confluence. */
  products?: readonly SandboxProduct[] | undefined
  /** Who can sign in; the first is taken when nobody is chosen. */
  users?: readonly SandboxUser[] | undefined
  clients?: readonly SandboxClientOptions[] | undefined
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
  has: (accountId: string, cloudId: string, product: string) => boolean
  set: (accountId: string, cloudId: string, product: string, granted: boolean) => void
}

/** What a code stands for until it is exchanged. */
export interface AuthorizationCode {
  clientId: string
  accountId: string
  redirectUri: string
}

export interface SandboxState {
  seed: number
  now: () => number
  clock: SandboxClock
  products: readonly SandboxProduct[]
  /** Every scope that exists, and how the consent page describes it. */
  scopes: Record<string, string>
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

/** One product of Atlassian. Its data come with its endpoints. */
export interface SandboxProduct {
  id: string
  /** Its path at the gateway, before the cloudId. */
  gatewayPath: string
  /** Its scopes, and how the consent page describes them. */
  scopes: Readonly<Record<string, string>>
  endpoints: readonly GatewayEndpoint[]
  /** Answers a call of a path that it does not have. */
  answerNotFound: (path: string) => SandboxResponse
  /**
   * Answers a person who has lost the product, where the app has not
   * (docs/reference/atlassian.md#11-errors).
   */
  answerForbidden: (path: string) => SandboxResponse
  /** Headers that tell who called. */
  identityHeaders?: (accountId: string) => Record<string, string>
}

/** A call that has passed the gateway. */
export interface GatewayCall {
  state: SandboxState
  site: SandboxSite
  user: SandboxUser
  /** What the person may not see of the site; undefined when nothing is hidden. */
  hiddenItems: HiddenItems | undefined
  /** What the parentheses of the endpoint's pattern caught, decoded. */
  params: string[]
  query: URLSearchParams
  /** Parsed JSON, or undefined when there was none. */
  body: unknown
  /** Gateway address of this product and site, without a slash at the end. */
  base: string
  /** The path below it. */
  path: string
}

/** One call of a product's API. */
export interface GatewayEndpoint {
  method: string
  path: RegExp
  /** Readable form of the pattern, for counts and burst buckets. */
  label: string
  scopes: ScopeRequirement
  handle: (call: GatewayCall) => SandboxResponse
}
