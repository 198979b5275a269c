import { AppError } from '../lib/errors.ts'
import type { RemoteItem } from '../model/items.ts'
import { isRecord, toStorableText } from '../lib/json.ts'
import type { InvalidItem, CollectionReader } from './provider.ts'

/** Maximum characters of a name or title, so that one item cannot make lists too large. */
const MAX_TEXT_LENGTH = 8_192
const MINUTE_MS = 60_000
/**
 * Overlap of incremental windows: search indexes lag, and their resolution is one minute
 * (docs/reference/atlassian.md#83-jql-search and #94-cql-search).
 */
export const OVERLAP_MS = 10 * MINUTE_MS
/**
 * Bounds are relative times, which do not depend on a time zone. They drift while a page chain
 * is read, so a chain has a maximum duration.
 */
const MAX_CHAIN_MS = 2 * MINUTE_MS
/**
 * Very long page chains can end early without an error
 * (docs/reference/atlassian.md#83-jql-search).
 */
const MAX_CHAIN_ITEMS = 50_000

/** Separates upstream values into items and invalid items. */
export function parseItems<Contents>(
  values: unknown[],
  parseItem: (value: Record<string, unknown>) => RemoteItem<Contents> | InvalidItem
): { items: Array<RemoteItem<Contents>>; invalidItems: InvalidItem[] } {
  const [items, invalidItems]: [Array<RemoteItem<Contents>>, InvalidItem[]] = [[], []]
  for (const value of values) {
    const result = isRecord(value)
      ? parseItem(value)
      : createInvalidItem(null, 'It is not an object.')
    if ('item' in result) items.push(result)
    else invalidItems.push(result)
  }
  return { items, invalidItems }
}

export function createInvalidItem(remoteId: string | null, detail: string): InvalidItem {
  return { remoteId, code: 'item_invalid', detail }
}

/** Describes the first text that exceeds the maximum length; undefined if none does. */
export function describeTooLongText(texts: Record<string, string | null>): string | undefined {
  const name = Object.keys(texts).find((each) => (texts[each]?.length ?? 0) > MAX_TEXT_LENGTH)
  return name === undefined
    ? undefined
    : `Its ${name} is longer than ${MAX_TEXT_LENGTH} characters.`
}

/** Parses an ISO date of either product; null for any other value. */
export function parseDate(value: unknown): Date | null {
  const at = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(at) ? null : new Date(at)
}

/** Whether the value is an id that is safe in a path (promise T17). */
export function isId(value: string): boolean {
  return /^\d{1,20}$/.test(value)
}

/**
 * Whether the request finds an item.
 *
 * @throws any error other than a 404
 */
export async function checkExists(request: () => Promise<unknown>): Promise<boolean> {
  try {
    await request()
    return true
  } catch (error) {
    if (
      error instanceof AppError &&
      error.code === 'upstream_refused' &&
      error.upstreamStatus === 404
    ) {
      return false
    }
    throw error
  }
}

/**
 * The age of `since` in the syntax of JQL and CQL, rounded up, plus the overlap and the margins
 * for clock error and drift.
 */
export function formatRelativeBound(reader: CollectionReader, since: number): string {
  const minutes = Math.max(
    1,
    Math.ceil(
      (reader.now() - since + OVERLAP_MS + MAX_CHAIN_MS + reader.clockUncertaintyMs()) / MINUTE_MS
    )
  )
  return minutes < 100_000 ? `-${minutes}m` : `-${Math.ceil(minutes / 1_440)}d`
}

/**
 * The age of the first minute after `since`, in the syntax of JQL and CQL; null if that minute is
 * not over. Only for a single page: the bound has no margin for drift.
 */
export function formatSettledBound(reader: CollectionReader, since: number): string | null {
  const nextMinute = (Math.floor(since / MINUTE_MS) + 1) * MINUTE_MS
  const minutes = Math.floor((reader.now() - nextMinute) / MINUTE_MS)
  return minutes < 1 || reader.clockUncertaintyMs() > 0 ? null : `-${minutes}m`
}

/**
 * Tracks a chain of pages in date order, and tells when to start a new chain from the last date.
 */
export function createPageChain<From extends number | null>(reader: CollectionReader, from: From) {
  const startedAt = reader.now()
  let itemCount = 0
  let position: From | number = from
  return {
    /** @param newest the date of the last item on the page */
    addPage(items: number, newest: number | null): void {
      itemCount += items
      position = newest ?? position
    },
    getPosition: () => position,
    isExhausted: () =>
      position !== null &&
      position > (from ?? -Infinity) &&
      (itemCount >= MAX_CHAIN_ITEMS || reader.now() - startedAt > MAX_CHAIN_MS)
  }
}

export type PageChain<From extends number | null> = ReturnType<typeof createPageChain<From>>

export function getTextField(value: unknown, name: string): string | null {
  return isRecord(value) ? toStorableText(value[name]) : null
}
