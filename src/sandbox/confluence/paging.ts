import { confluenceError } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import type { Call } from '../gateway/call.ts'
import { list, whole } from '../gateway/call.ts'

const DEFAULT_PAGE = 25
export const LARGEST_PAGE = 250

/** The last thing of a page, and what the list was ordered by. Base64 JSON, as Confluence writes it (atlassian.md 9.1). */
export interface Cursor {
  id: string
  contentOrder: string
  contentOrderValue: number | string
}

export function badParameter(name: string, why: string): Answer {
  return confluenceError(
    400,
    'INVALID_REQUEST_PARAMETER',
    `Provided value for '${name}' is not valid. ${why}`
  )
}

function badCursor(): Answer {
  return confluenceError(
    400,
    'INVALID_REQUEST_PARAMETER',
    "Provided value for 'cursor' is not the correct type. Expected type is Cursor.",
    'The provided cursor was not valid. Please use the cursor of the previous response unchanged.'
  )
}

/** `limit` from 1 to 250, or the refusal. */
export function readLimit({ query }: Call): number | Answer {
  const limit = whole(query.get('limit'), DEFAULT_PAGE)
  return limit >= 1 && limit <= LARGEST_PAGE
    ? limit
    : badParameter('limit', `Expected a number from 1 to ${LARGEST_PAGE}.`)
}

/** @returns undefined on the first page, or the refusal */
export function readCursor({ query }: Call, contentOrder: string): Cursor | undefined | Answer {
  const text = query.get('cursor')
  if (text === null) return undefined
  const cursor = decode(text)
  return cursor?.contentOrder === contentOrder ? cursor : badCursor()
}

function decode(text: string): Cursor | undefined {
  if (!/^[A-Za-z0-9+/]+=*$/.test(text)) return undefined
  try {
    const { id, contentOrder, contentOrderValue } = JSON.parse(
      Buffer.from(text, 'base64').toString()
    ) as Record<string, unknown>
    const known =
      typeof id === 'string' &&
      typeof contentOrder === 'string' &&
      (typeof contentOrderValue === 'number' || typeof contentOrderValue === 'string')
    return known ? { id, contentOrder, contentOrderValue } : undefined
  } catch {
    return undefined
  }
}

/** Whether a helper has already answered instead of giving a value. */
export function isAnswer(value: object | number | undefined): value is Answer {
  return typeof value === 'object' && 'status' in value && 'body' in value
}

/** Names in a list, or the refusal when there are too many. */
export function readNames({ query }: Call, name: string, most: number): string[] | Answer {
  const names = list(query, name)
  return names.length > most ? badParameter(name, `At most ${most} values are accepted.`) : names
}

/**
 * A page of results. `next` is in the body and in the `Link` header, is relative to the site and already contains `/wiki`; the
 * cursor comes last in one and first in the other, with its equals signs as they are.
 */
export function paged(call: Call, results: unknown[], cursor: Cursor | undefined): Answer {
  const base = `${call.site.url}/wiki`
  if (cursor === undefined) {
    return {
      status: 200,
      body: { results, _links: { base } },
      headers: { Link: `<${base}>; rel="base"` },
      objects: results.length
    }
  }
  const rest = new URLSearchParams(call.query)
  rest.delete('cursor')
  rest.delete('limit')
  const others = rest.size > 0 ? `&${rest}` : ''
  const limit = `limit=${call.query.get('limit') ?? DEFAULT_PAGE}`
  const value = encodeURIComponent(
    Buffer.from(JSON.stringify(cursor)).toString('base64')
  ).replaceAll('%3D', '=')
  const next = `${call.path}?${limit}${others}&cursor=${value}`
  const link = `<${call.path}?cursor=${value}&${limit}${others}>; rel="next", <${base}>; rel="base"`
  return {
    status: 200,
    body: { results, _links: { next, base } },
    headers: { Link: link },
    objects: results.length
  }
}

/** The first `count` in order, from one pass that keeps no more than that: for orders that nothing precomputes. */
export function firstOf<T>(
  items: Iterable<T>,
  count: number,
  compare: (a: T, b: T) => number
): T[] {
  let best: T[] = []
  for (const item of items) {
    if (best.length >= 2 * count) best = best.sort(compare).slice(0, count)
    best.push(item)
  }
  return best.sort(compare).slice(0, count)
}
