import { AppError } from '../lib/errors.ts'
import type { RemoteItem } from '../model/items.ts'
import { isRecord, toStorableText } from '../lib/json.ts'
import type { InvalidItem, CollectionReader } from './provider.ts'

/** No name or title is longer: what is would sink lists. */
const MAX_TEXT_LENGTH = 8_192
const MINUTE_MS = 60_000
/**
 * Search indexes lag behind, and see no finer than a minute: windows overlap by this much
 * (docs/reference/atlassian.md#83-jql-search and #94-cql-search).
 */
const OVERLAP_MS = 10 * MINUTE_MS
/** Bounds are written as ages, which are the same in every time zone; they drift while a chain of pages is read, so it is not read for longer. */
const MAX_CHAIN_MS = 5 * MINUTE_MS
/**
 * Very long chains of pages were seen to end early, without an error
 * (docs/reference/atlassian.md#83-jql-search).
 */
const MAX_CHAIN_ITEMS = 50_000

/** Sorts what upstream sent into items and what does not fit. */
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

/** A sentence if a text is of an absurd size. */
export function describeTooLongText(texts: Record<string, string | null>): string | undefined {
  const name = Object.keys(texts).find((each) => (texts[each]?.length ?? 0) > MAX_TEXT_LENGTH)
  return name === undefined
    ? undefined
    : `Its ${name} is longer than ${MAX_TEXT_LENGTH} characters.`
}

/** An ISO date of either product; null for anything else. */
export function parseDate(value: unknown): Date | null {
  const at = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(at) ? null : new Date(at)
}

/** An id as it may stand in a path: nothing that walks (promise T17). */
export function isId(value: string): boolean {
  return /^\d{1,20}$/.test(value)
}

/** Whether `ask` finds something. @throws what is not a plain "there is no such thing" */
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

/** How long ago a moment was, as both query languages write it, at least as long and a margin longer. */
export function formatRelativeBound(reader: CollectionReader, since: number): string {
  const minutes = Math.max(
    1,
    Math.ceil(
      (reader.now() - since + OVERLAP_MS + MAX_CHAIN_MS + reader.clockUncertaintyMs()) / MINUTE_MS
    )
  )
  return minutes < 100_000 ? `-${minutes}m` : `-${Math.ceil(minutes / 1_440)}d`
}

/** Watches a chain of pages that are read in the order of a date: when it has to be begun anew from where it is. */
export function createPageChain(reader: CollectionReader, from: number | null) {
  const startedAt = reader.now()
  let itemCount = 0
  let position = from
  return {
    /** @param newest the date of the last item of a page */
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

/**
 * Pages that shrink when Atlassian cannot make large ones in time, and grow again
 * (docs/reference/atlassian.md#94-cql-search).
 */
export function createAdaptivePager(maxPageSize: number) {
  let size = maxPageSize
  return async (request: (size: number) => Promise<unknown>): Promise<unknown> => {
    while (true) {
      try {
        const response = await request(size)
        size = Math.min(maxPageSize, size * 2)
        return response
      } catch (error) {
        if (!(error instanceof AppError) || error.upstreamStatus !== 504 || size <= MIN_PAGE_SIZE) {
          throw error
        }
        size = Math.max(MIN_PAGE_SIZE, Math.floor(size / 2))
      }
    }
  }
}

const MIN_PAGE_SIZE = 5

export function getTextField(value: unknown, name: string): string | null {
  return isRecord(value) ? toStorableText(value[name]) : null
}
