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
  /** The same seed generates the same data. */
  seed?: number | undefined
  /** Sizes of sites that define none. The default site Globex has a sixth of these sizes. */
  sizes?: Partial<SiteSizes> | undefined
  sites?: readonly SandboxSiteOptions[] | undefined
  /** The products of the sites; default: Jira and Confluence. */
  products?: readonly SandboxProduct[] | undefined
  /** Users who can log in; the first one is the default. */
  users?: readonly SandboxUser[] | undefined
  clients?: readonly SandboxClientOptions[] | undefined
  /** Milliseconds since the epoch. */
  now?: (() => number) | undefined
  /**
   * Size of the burst bucket per tenant and endpoint, in calls; two sevenths refill each second.
   */
  burst?: number | undefined
  /** Points that an app may use per hour, over all sites. */
  hourlyPoints?: number | undefined
  /**
   * Maximum lag of search, in milliseconds of sandbox time. The lag of each item is between half
   * of it and all of it.
   */
  indexLagMs?: number | undefined
  /**
   * Number of issues after which a chain of `search/jql` pages ends without an error, even if
   * more match (docs/reference/atlassian.md#83-jql-search).
   */
  maxSearchResults?: number | undefined
  /** Maximum number of calls in the log of the stats. */
  maxLogEntries?: number | undefined
}

export type SandboxClients = Map<string, SandboxClient>

/**
 * Which products of which sites an account may use; all of them until the admin API revokes one.
 */
interface ProductAccess {
  has: (accountId: string, cloudId: string, product: string) => boolean
  set: (accountId: string, cloudId: string, product: string, granted: boolean) => void
}

/** What an authorization code is exchanged for. */
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
  /** Every existing scope, with its description on the consent page. */
  scopes: Record<string, string>
  sites: readonly SandboxSite[]
  users: readonly SandboxUser[]
  clients: SandboxClients
  access: ProductAccess
  /** The accounts that were closed or updated, and when. */
  accounts: Map<string, { status: 'closed' | 'updated'; at: number }>
  signer: JwtSigner
  codes: ExpiringMap<AuthorizationCode>
  grants: SandboxGrants
  faults: Faults
  limits: SandboxLimits
  stats: SandboxStats
  maxSearchResults: number
  /** What the token endpoint says to a request without a client secret. */
  missingSecretText: string
  /** Maximum lag of search, in milliseconds. */
  indexLagMs: () => number
  setIndexLag: (ms: number) => void
  /** Returns 0, 1, 2, …: values made from it differ between calls and repeat in every run. */
  tick: () => number
  /** Restores the initial state: data, clock, grants, faults, limits and counts. */
  reset: () => void
}

/** An Atlassian product: its data and its endpoints. */
export interface SandboxProduct {
  id: string
  /** Its path below the gateway, before the cloudId. */
  gatewayPath: string
  /** Its scopes, with their descriptions on the consent page. */
  scopes: Readonly<Record<string, string>>
  endpoints: readonly GatewayEndpoint[]
  /** Responds to a call whose path the product does not have. */
  answerNotFound: (path: string) => SandboxResponse
  /**
   * Responds to a user who has lost access to the product while the app still has it
   * (docs/reference/atlassian.md#11-errors).
   */
  answerForbidden: (path: string) => SandboxResponse
  /** Response headers that identify the caller. */
  identityHeaders?: (accountId: string) => Record<string, string>
  /** Refuses a call because of its body, before the endpoint reads it. */
  checkBody?: (request: CallBody) => SandboxResponse | undefined
}

interface CallBody {
  method: string
  path: string
  /** The media type without parameters; empty if the call names none. */
  contentType: string
  body: unknown
}

/** A call that has passed the checks of the gateway. */
export interface GatewayCall {
  state: SandboxState
  site: SandboxSite
  user: SandboxUser
  /** The items of the site that are hidden from the user; undefined if there are none. */
  hiddenItems: HiddenItems | undefined
  /** The values captured by the endpoint's pattern, decoded. */
  params: string[]
  query: URLSearchParams
  /** The caller has no valid token, and sees nothing (docs/reference/atlassian.md#86-anonymous-answers). */
  isAnonymous: boolean
  /** Parsed JSON, or undefined if there is no body. */
  body: unknown
  /** The gateway URL of this product and site, without a trailing slash. */
  base: string
  /** The path below `base`. */
  path: string
}

/** An endpoint of a product's API. */
export interface GatewayEndpoint {
  method: string
  path: RegExp
  /** Readable form of the pattern; names counters and burst buckets. */
  label: string
  scopes: ScopeRequirement
  /** Whether the product answers it without credentials. */
  allowsAnonymous?: boolean
  handle: (call: GatewayCall) => SandboxResponse
}
