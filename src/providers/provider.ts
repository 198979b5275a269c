import type { TProperties } from '@sinclair/typebox'
import type { Answer } from '../http.ts'
import type { Items } from '../store/collection.ts'
import type { Site } from '../store/site.ts'
import type { ProviderId } from './names.ts'

/**
 * Reads one JSON document through the gateway, bound to one grant and one site: a token is fetched for each call, and a
 * short wait that Atlassian asks for is waited.
 *
 * @param path below the product's gateway base, from `/rest` or `/wiki` on
 */
export type Read = (path: string, query?: Record<string, string>) => Promise<unknown>

/** One item with its name at Atlassian. */
export interface Remote<T extends CollectionName> { remoteId: string, item: Items[T] }

export type CollectionName = keyof Items

/** One kind of thing a product holds. */
export interface Collection<T extends CollectionName = CollectionName> {
  /** In URLs (`/jira/projects`) and the name of its table. */
  name: T
  /** What a caller posts, beside `owner_id`. */
  body: TProperties
  /** What a list serves, beside `id` and `owner_id`. */
  row: TProperties
  /** A posted item, with its natural key as its name. An upsert states the whole item: what is left out becomes null. */
  fromWire (body: Record<string, unknown>): Remote<T>
  toWire (row: Items[T]): Record<string, unknown>
  /** What lists are sorted by, before the id. */
  sortValue (row: Items[T]): string
  /** Yields upstream pages from `cursor` on (null: the beginning). `next` is the cursor to save with the page's items. */
  pages: (read: Read, site: Site, cursor: string | null) => AsyncIterable<{ items: Array<Remote<T>>, next: string | null }>
}

/** Something that a connection can do for its user, if the consent covers it. */
export interface Feature {
  /** On the wire. */
  name: string
  /** Sets of scopes, any one of which is enough; what is missing is told in terms of the first (atlassian.md section 6). */
  scopes: readonly [readonly string[], ...Array<readonly string[]>]
  /** What it copies: without it the connection is not what people connect for. */
  copies?: CollectionName
}

/** Everything shared code needs to know about one Atlassian product. */
export interface Provider {
  id: ProviderId
  title: string
  /** Asked for at sign-in when nothing else is configured: what the calls below need, and no more. */
  scopes: readonly string[]
  features: readonly Feature[]
  /** The word that tells the product's scopes from the other's in accessible-resources. */
  ownsScope: (scope: string) => boolean
  /** The product's address under a site. */
  basePath: string
  /** Where the front end expects browsers back after a success (contract.md section 4). */
  returnPath: string
  /** Parameters that the success redirect carries before the others. */
  returnQuery: Record<string, string>
  collections: readonly [Collection, ...Collection[]]
}

/** True where the gateway says that the grant does not cover the site, or the site is none (atlassian.md section 11). */
export function isSiteUnreachable ({ status, body }: Answer): boolean {
  const { message, errorMessages, path } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const said = [message, ...(Array.isArray(errorMessages) ? errorMessages : [])].some((each) => typeof each === 'string' && each.includes('is not installed on this instance'))
  return (status === 403 && said) || (status === 404 && typeof path === 'string' && path.startsWith('/ex/'))
}

/** True where the gateway says that the token lacks a scope; refreshing cannot help (atlassian.md section 0, fact 5). */
export function isScopeMismatch ({ status, headers, body }: Answer): boolean {
  const message = typeof body === 'object' && body !== null ? (body as { message?: unknown }).message : undefined
  return status === 401 && (headers['x-failure-category'] === 'FAILURE_CLIENT_SCOPE_CHECK' || (typeof message === 'string' && message.includes('scope does not match')))
}
