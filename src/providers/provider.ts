import type { TProperties, TSchema } from '@sinclair/typebox'
import type { HttpResponse } from '../lib/http-client.ts'
import type { Item, ItemTableShape, ListedItem, RawRow, RemoteItem } from '../model/items.ts'
import type { Site } from '../model/site.ts'
import type { Endpoint } from './endpoint.ts'

/** Parameters of a query string; a list repeats its name. */
type CallQuery = Record<string, string | readonly string[]>

export interface CallOptions {
  /** The caller repeats a call that failed with fewer items. */
  isDivisible?: boolean
  /** Attempts at a transient failure, if not the default. */
  maxAttempts?: number
}

/**
 * Reads JSON documents through the gateway with one grant, on one site. Paths start below the
 * cloudId: `/rest/…`, `/wiki/…`.
 */
export interface Gateway {
  get: (path: string, query?: CallQuery, options?: CallOptions) => Promise<unknown>
  post: (path: string, json: object, options?: CallOptions) => Promise<unknown>
  /** Atlassian's time, in milliseconds since the epoch. */
  now: () => number
  /** The largest error of `now` in milliseconds: until the first response it is this machine's clock. */
  clockUncertaintyMs: () => number
}

/** What a collection needs to read one site. */
export interface CollectionReader extends Gateway {
  site: Site
  /** The full listing in progress: rows that carry its number have been read by it. */
  generation: number
  /** Whether items come with their bodies. */
  includeBodies: boolean
  /** Stored rows of this site by remote id, as the driver returns them; long texts on request. */
  findStored: (
    collection: string,
    remoteIds: readonly string[],
    withLongTexts?: boolean
  ) => Promise<Map<string, RawRow>>
}

/** An item that cannot be stored, or could not be read. */
export interface InvalidItem {
  remoteId: string | null
  code: string
  detail: string
  /** It is stored in part: reported, and not retried. */
  isStored?: true
  /** Atlassian said that it exists and cannot be delivered now: the listing is not complete. */
  isUndelivered?: true
}

/**
 * Why a listing that ended is not complete: Atlassian warned that it is truncated, named a cursor
 * twice, returned many empty pages, or ended without its sign of the end.
 */
export type ListingFlaw = 'truncated' | 'repeated' | 'empty_pages' | 'cut_off'

/** What a look-up found; ids in no list are unknown. */
export interface LookUpResult<Contents = Item> {
  items: Array<RemoteItem<Contents>>
  invalidItems: InvalidItem[]
  /** Deleted, or no longer visible to the account. */
  goneIds: string[]
}

/** The result of one upstream page. */
export interface ItemBatch<Contents = Item> {
  items: Array<RemoteItem<Contents>>
  invalidItems: InvalidItem[]
  /** Where a listing continues after it; null at its end. */
  next: string | null
  /** The newest change on the page, in ms since the epoch: the next incremental copy starts there. */
  newest?: number | null
  /** The size of the whole listing, where Atlassian says. An estimate, for progress only. */
  expected?: number | null
  /** Set if the listing cannot be complete. It proves no deletion, even if it continues. */
  flaw?: ListingFlaw | undefined
  /** The listing starts again from its beginning. */
  isRestart?: true
}

/** One kind of item that a product has. `Contents` follows from the shape of its table. */
export interface Collection<Shape extends ItemTableShape = ItemTableShape, Contents = Item<Shape>> {
  /** The name of its table, in URLs (`/jira/projects`), in the change feed and in runs. */
  name: Shape['name']
  table: Shape
  /** Set where callers can also post items. */
  manualUpload?: {
    /** The fields that a caller posts, beside `owner_id`. */
    body: TProperties
    /**
     * A posted item, with its natural key as its remote id. It states the whole item: an omitted
     * field becomes null.
     */
    fromRequest(body: Record<string, unknown>): RemoteItem<Contents>
  }
  /** The fields that a list serves, beside `id`, `owner_id` and `updated_at`. */
  responseFields: TProperties
  toResponse(row: ListedItem<Contents>): Record<string, unknown>
  /** Documents the query parameter that filters a list by the parent (`table.filterBy`). */
  parentFilter: { description: string; example: string }
  /** Set where items have a body, which lists serve with `include=body`. */
  body?: {
    /** The connection option that copies it (`Provider.options`). */
    option: string
    responseSchema: TSchema
    /** Null where the item has no copied body. */
    toResponse(row: ListedItem<Contents>): object | null
  }
  /**
   * The collection that its items belong to, and the columns that match. It is listed when an
   * item names one that is not stored.
   */
  parent?: { collection: string; column: string; parentColumn: string }
  /**
   * Every site has at least one: an empty listing means that the account may see nothing, and
   * proves no deletion.
   */
  isNeverEmpty?: true
  /** Lists everything, from `cursor` on (null: the beginning). */
  list(reader: CollectionReader, cursor: string | null): AsyncIterable<ItemBatch<Contents>>
  /**
   * Lists what changed since a time (ms since the epoch), oldest first. Set where Atlassian can
   * filter by modification time.
   *
   * @param isSettled whether everything up to `since` has been read after the overlap
   */
  listChanges?: (
    reader: CollectionReader,
    since: number,
    isSettled: boolean
  ) => AsyncIterable<ItemBatch<Contents>>
  /** Reads at most one page of items by id; absent and invisible ones are left out. */
  fetch?: (reader: CollectionReader, remoteIds: readonly string[]) => Promise<ItemBatch<Contents>>
  /**
   * Requests items that a listing did not contain, in batches. Absent and forbidden items look
   * the same.
   *
   * @param controlId an item that the listing contained: an answer without it proves nothing
   */
  lookUp(
    reader: CollectionReader,
    remoteIds: readonly string[],
    controlId: string | undefined
  ): Promise<LookUpResult<Contents>>
}

/** Something that a connection can do if the consent covers it. */
export interface Feature {
  /** The name in requests and responses. */
  name: string
  /** The endpoints that it calls, and so the scopes that it needs. */
  endpoints: readonly Endpoint[]
  /** The collection that it copies. */
  collection?: string
  /** The collection whose `listChanges` needs it. */
  enablesIncremental?: string
  /** The connection is in state `scope_missing` without it. */
  isRequired?: true
}

/** Knowing whose account it is (docs/reference/atlassian.md#5-identity-and-sites). */
export const IDENTITY_FEATURE: Feature = {
  name: 'identity',
  endpoints: [{ method: 'GET', path: '/me', classic: ['read:me'], granular: null }]
}

/** The environment variables of a product's OAuth client (docs/reference/contract.md#2-settings). */
export interface ProviderSettings {
  /**
   * For example `JIRA`, for `JIRA_OAUTH_CLIENT_ID`, `…_CLIENT_SECRET`, `…_REDIRECT_URI` and
   * `…_SCOPES`.
   */
  prefix: string
  /** Other names of a setting, in order of precedence. */
  aliases: Record<'CLIENT_ID' | 'CLIENT_SECRET' | 'REDIRECT_URI', readonly string[]>
  /**
   * The product whose values apply where this product has none, except its redirect URI: a code
   * that arrives there belongs to a login of that product.
   */
  fallback?: Provider
}

/** A setting of a connection that its owner can switch on; off by default. */
interface ConnectionOption {
  /** The name in requests and responses, and in the row of the connection. */
  name: string
  description: string
  /** What `true` means in a response. */
  responseDescription: string
}

/** Everything that shared code knows about one Atlassian product. */
export interface Provider {
  /** In URLs, settings and rows. */
  id: string
  /** The product's name for people. */
  title: string
  settings: ProviderSettings
  /** Every endpoint below a site that the service calls. */
  endpoints: readonly Endpoint[]
  /**
   * Set where Atlassian may answer a rejected token with 200 and nothing: returns the account of
   * the token, and never answers a rejected one (docs/reference/atlassian.md#86-anonymous-answers).
   */
  identityEndpoint?: Endpoint
  /** Requested at sign-in unless the operator configures others: what the endpoints need. */
  scopes: readonly string[]
  features: readonly Feature[]
  options: readonly ConnectionOption[]
  /** Tells the product's scopes from those of other products in accessible-resources. */
  isProductScope: (scope: string) => boolean
  /** The product's path at the gateway, before the cloudId (docs/reference/atlassian.md#7-gateway). */
  gatewayPath: string
  /** The product's path on a site; empty where it is the root. */
  basePath: string
  /**
   * Where the front end expects browsers after a successful login
   * (docs/reference/contract.md#4-login-and-callback).
   */
  returnPath: string
  /** Query parameters of that redirect, before the others. */
  returnQuery: Record<string, string>
  collections: readonly [Collection, ...Collection[]]
}

/**
 * Whether the gateway reports that the grant does not cover the site, or that the site does not
 * exist (docs/reference/atlassian.md#11-errors).
 */
export function isSiteUnreachable({ status, body }: HttpResponse): boolean {
  const { message, errorMessages, path } = (
    typeof body === 'object' && body !== null ? body : {}
  ) as Record<string, unknown>
  const isNotInstalled = [message, ...(Array.isArray(errorMessages) ? errorMessages : [])].some(
    (each) => typeof each === 'string' && each.includes('is not installed on this instance')
  )
  return (
    (status === 403 && isNotInstalled) ||
    (status === 404 && typeof path === 'string' && path.startsWith('/ex/'))
  )
}

/**
 * Whether the gateway reports that the token lacks a scope; a refresh cannot help
 * (docs/reference/atlassian.md#6-scopes).
 */
export function isScopeMismatch({ status, headers, body }: HttpResponse): boolean {
  const message =
    typeof body === 'object' && body !== null ? (body as { message?: unknown }).message : undefined
  return (
    status === 401 &&
    (headers['x-failure-category'] === 'FAILURE_CLIENT_SCOPE_CHECK' ||
      (typeof message === 'string' && message.includes('scope does not match')))
  )
}
