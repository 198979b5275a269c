import type { SandboxResponse } from '../gateway/answer.ts'
import type { GatewayCall } from '../state.ts'
import { parseListParam, parseIntegerParam } from '../gateway/call.ts'
import { confluenceError } from './errors.ts'

export const DEFAULT_PAGE_SIZE = 25
export const MAX_PAGE_SIZE = 250

/**
 * The last item of a page and the order of the list. Base64 of JSON, as in Confluence
 * (docs/reference/atlassian.md#91-pages).
 */
export interface ConfluenceCursor {
  id: string
  contentOrder: string
  contentOrderValue: number | string
}

export function invalidParameter(name: string, reason: string): SandboxResponse {
  return confluenceError(
    400,
    'INVALID_REQUEST_PARAMETER',
    `Provided value for '${name}' is not valid. ${reason}`
  )
}

export function invalidCursor(): SandboxResponse {
  return confluenceError(
    400,
    'INVALID_REQUEST_PARAMETER',
    "Provided value for 'cursor' is not the correct type. Expected type is Cursor.",
    'The provided cursor was not valid. Please use the cursor of the previous response unchanged.'
  )
}

/** @returns `limit` from 1 to 250, or an error response */
export function parseLimit({ query }: GatewayCall): number | SandboxResponse {
  const limit = parseIntegerParam(query.get('limit'), DEFAULT_PAGE_SIZE)
  return limit >= 1 && limit <= MAX_PAGE_SIZE
    ? limit
    : invalidParameter('limit', `Expected a number from 1 to ${MAX_PAGE_SIZE}.`)
}

/** @returns undefined on the first page, or an error response */
export function parseCursor(
  { query }: GatewayCall,
  contentOrder: string
): ConfluenceCursor | undefined | SandboxResponse {
  const text = query.get('cursor')
  if (text === null) return undefined
  const cursor = decodeConfluenceCursor(text)
  return cursor?.contentOrder === contentOrder ? cursor : invalidCursor()
}

function decodeConfluenceCursor(text: string): ConfluenceCursor | undefined {
  if (!/^[A-Za-z0-9+/]+=*$/.test(text)) return undefined
  try {
    const { id, contentOrder, contentOrderValue } = JSON.parse(
      Buffer.from(text, 'base64').toString()
    ) as Record<string, unknown>
    const isValid =
      typeof id === 'string' &&
      typeof contentOrder === 'string' &&
      (typeof contentOrderValue === 'number' || typeof contentOrderValue === 'string')
    return isValid ? { id, contentOrder, contentOrderValue } : undefined
  } catch {
    return undefined
  }
}

/** Distinguishes an error response from a value. */
export function isResponse(value: object | number | undefined): value is SandboxResponse {
  return typeof value === 'object' && 'status' in value && 'body' in value
}

/** @returns the names of a list, or an error response if there are too many */
export function parseNames(
  { query }: GatewayCall,
  name: string,
  max: number
): string[] | SandboxResponse {
  const names = parseListParam(query, name)
  return names.length > max ? invalidParameter(name, `At most ${max} values are accepted.`) : names
}

export function pagedResponse(
  call: GatewayCall,
  results: unknown[],
  cursor: ConfluenceCursor | undefined
): SandboxResponse {
  return renderResultPage(
    call,
    results,
    cursor && Buffer.from(JSON.stringify(cursor)).toString('base64')
  )
}

/**
 * Builds a page of results. `next` is in the body and in the `Link` header, relative to the
 * site, and already contains `/wiki`. The cursor is the last parameter in the body and the first
 * in the header; its equals signs are not encoded.
 */
export function renderResultPage(
  call: GatewayCall,
  results: unknown[],
  cursor: string | undefined
): SandboxResponse {
  const base = `${call.site.url}/wiki`
  if (cursor === undefined) {
    return {
      status: 200,
      body: { results, _links: { base } },
      headers: { Link: `<${base}>; rel="base"` },
      coreObjects: results.length
    }
  }
  const rest = new URLSearchParams(call.query)
  rest.delete('cursor')
  rest.delete('limit')
  const others = rest.size > 0 ? `&${rest}` : ''
  const limit = `limit=${call.query.get('limit') ?? DEFAULT_PAGE_SIZE}`
  const value = encodeURIComponent(cursor).replaceAll('%3D', '=')
  const next = `${call.path}?${limit}${others}&cursor=${value}`
  const link = `<${call.path}?cursor=${value}&${limit}${others}>; rel="next", <${base}>; rel="base"`
  return {
    status: 200,
    body: { results, _links: { next, base } },
    headers: { Link: link },
    coreObjects: results.length
  }
}

/**
 * Returns the smallest `count` items in order, in one pass that keeps no more than `count`. Used
 * for orders without a precomputed permutation.
 */
export function takeSmallest<T>(
  items: Iterable<T>,
  count: number,
  compare: (a: T, b: T) => number
): T[] {
  let smallest: T[] = []
  for (const item of items) {
    if (smallest.length >= 2 * count) smallest = smallest.sort(compare).slice(0, count)
    smallest.push(item)
  }
  return smallest.sort(compare).slice(0, count)
}
