import type { TProperties } from '@sinclair/typebox'
import type { HttpResponse } from '../lib/http-client.ts'
import type { RawRow } from '../store/engine.ts'
import type { CollectionName, ItemsByCollection, RemoteItem } from '../model/items.ts'
import type { Site } from '../model/site.ts'
import type { ProviderId } from '../model/products.ts'

/** Reads JSON documents through the gateway, bound to one grant and one site. Paths start below the product's base, from `/rest` or `/wiki` on. */
export interface Gateway {
  get: (path: string, query?: Record<string, string>) => Promise<unknown>
  post: (path: string, json: object) => Promise<unknown>
  /** Atlassian's time, in milliseconds since the epoch. */
  now: () => number
  /** How far off that may be, in milliseconds: until the first answer it is only this machine's. */
  clockUncertaintyMs: () => number
}

/** What reading one collection of one site takes. */
export interface CollectionReader extends Gateway {
  site: Site
  /** The full listing that is under way: rows that carry its number have been read already. */
  generation: number
  /** Whether pages shall come with their bodies. */
  includeBodies: boolean
  /** What has been copied of this site, by remote id, as the driver has it. */
  findStored: (
    collection: CollectionName,
    remoteIds: readonly string[]
  ) => Promise<Map<string, RawRow>>
}

/** An item that does not fit, or that could not be had. */
export interface InvalidItem {
  remoteId: string | null
  code: string
  detail: string
}

/** What one upstream page brought. */
export interface ItemBatch<Item> {
  items: Array<RemoteItem<Item>>
  invalidItems: InvalidItem[]
  /** Where a listing goes on behind it; null at its end. */
  next: string | null
  /** The newest change that the page told of, in milliseconds since the epoch: an incremental copy goes on there. */
  newest?: number | null
  /** How many the whole listing will be, where Atlassian says. */
  expected?: number | null
  /** A listing that has shown fewer at its end is not complete: what it did not show proves nothing. */
  minimumExpected?: number
}

export type { CollectionName } from '../model/items.ts'

/** One kind of thing a product holds. */
export interface Collection<T extends CollectionName = CollectionName> {
  /** In URLs (`/jira/projects`) and the name of its table. */
  name: T
  /** Where items are also posted by hand. */
  manualUpload?: {
    /** What a caller posts, beside `owner_id`. */
    body: TProperties
    /** A posted item, with its natural key as its name. An upsert states the whole item: what is left out becomes null. */
    fromRequest(body: Record<string, unknown>): RemoteItem<ItemsByCollection[T]>
  }
  /** What a list serves, beside `id`, `owner_id` and `updated_at`. */
  responseFields: TProperties
  toResponse(row: ItemsByCollection[T]): Record<string, unknown>
  /** What lists are sorted by, before the id. */
  sortValue(row: ItemsByCollection[T]): string
  /** The query parameter that narrows a list to a project or a space. */
  parentFilter?: { name: string; description: string; example: string }
  /** A site that shows none of them shows its account nothing at all: what such a list lacks is not deleted. */
  isNeverEmpty?: true
  /** Everything, from `cursor` on (null: the beginning). */
  list(
    reader: CollectionReader,
    cursor: string | null
  ): AsyncIterable<ItemBatch<ItemsByCollection[T]>>
  /** What has changed since a moment (milliseconds since the epoch), oldest first, where Atlassian can be asked that. */
  listChanges?: (
    reader: CollectionReader,
    since: number
  ) => AsyncIterable<ItemBatch<ItemsByCollection[T]>>
  /** Items by their ids, a page's worth at most; those that are not there, or not visible, are left out. */
  fetch?: (
    reader: CollectionReader,
    remoteIds: readonly string[]
  ) => Promise<ItemBatch<ItemsByCollection[T]>>
  /** Whether one item is there, asked directly. Absent and forbidden look the same. undefined: nobody can be asked for such an id. */
  exists(reader: CollectionReader, remoteId: string): Promise<boolean | undefined>
}

/** Something that a connection can do for its user, if the consent covers it. */
export interface Feature {
  /** On the wire. */
  name: string
  /**
   * Sets of scopes, any one of which is enough; what is missing is told in terms of the first
   * (docs/reference/atlassian.md#6-scopes).
   */
  scopes: readonly [readonly string[], ...Array<readonly string[]>]
  /** What it copies. */
  collection?: CollectionName
  /** The feature without which `changes` cannot be asked for. */
  enablesIncremental?: CollectionName
  /** Without it the connection is not what people connect for. */
  isRequired?: true
}

/** The environment variables of a product's OAuth client (docs/reference/contract.md#2-settings). */
export interface ProviderSettings {
  /** `JIRA`: the settings are `JIRA_OAUTH_CLIENT_ID`, `…_CLIENT_SECRET`, `…_REDIRECT_URI`, `…_SCOPES`. */
  prefix: string
  /** Other names of a setting, in order of precedence. */
  aliases: Record<'CLIENT_ID' | 'CLIENT_SECRET' | 'REDIRECT_URI', readonly string[]>
  /**
   * The product whose values are used where this product has none. Its own callback is never taken
   * as redirect URI: a code that arrives there belongs to a login of that product.
   */
  fallback?: Provider
}

/** Everything shared code needs to know about one Atlassian product. */
export interface Provider {
  id: ProviderId
  title: string
  settings: ProviderSettings
  /** Asked for at sign-in when nothing else is configured: what the calls below need, and no more. */
  scopes: readonly string[]
  features: readonly Feature[]
  /** The word that tells the product's scopes from the other's in accessible-resources. */
  isProductScope: (scope: string) => boolean
  /** The product's address under a site. */
  basePath: string
  /**
   * Where the front end expects browsers back after a success
   * (docs/reference/contract.md#4-login-and-callback).
   */
  returnPath: string
  /** Parameters that the success redirect carries before the others. */
  returnQuery: Record<string, string>
  collections: readonly [Collection, ...Collection[]]
}

/**
 * True where the gateway says that the grant does not cover the site, or the site is none
 * (docs/reference/atlassian.md#11-errors).
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
 * True where the gateway says that the token lacks a scope; refreshing cannot help
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
