import { AppError } from '../lib/errors.ts'
import type { Remote } from '../model/items.ts'
import { isRecord, text } from '../lib/json.ts'
import type { Failed, Reader } from './provider.ts'

/** No name or title is longer: what is would sink lists. */
const LONGEST_TEXT = 8_192
const MINUTE_MS = 60_000
/** Search indexes lag behind, and see no finer than a minute: windows overlap by this much (atlassian.md sections 8.3 and 9.4). */
export const OVERLAP_MS = 10 * MINUTE_MS
/** Bounds are written as ages, which are the same in every time zone; they drift while a chain of pages is read, so it is not read for longer. */
const LONGEST_CHAIN_MS = 5 * MINUTE_MS
/** Very long chains of pages were seen to end early, without an error (atlassian.md section 8.3). */
const LONGEST_CHAIN_ITEMS = 50_000

/** Sorts what upstream sent into items and what does not fit. */
export function judged<Item>(
  values: unknown[],
  judge: (value: Record<string, unknown>) => Remote<Item> | Failed
): { items: Array<Remote<Item>>; failed: Failed[] } {
  const [items, failed]: [Array<Remote<Item>>, Failed[]] = [[], []]
  for (const value of values) {
    const result = isRecord(value) ? judge(value) : unfit(null, 'It is not an object.')
    if ('item' in result) items.push(result)
    else failed.push(result)
  }
  return { items, failed }
}

export function unfit(remoteId: string | null, detail: string): Failed {
  return { remoteId, code: 'item_invalid', detail }
}

/** A sentence if a text is of an absurd size. */
export function tooLong(texts: Record<string, string | null>): string | undefined {
  const name = Object.keys(texts).find((each) => (texts[each]?.length ?? 0) > LONGEST_TEXT)
  return name === undefined ? undefined : `Its ${name} is longer than ${LONGEST_TEXT} characters.`
}

/** An ISO date of either product; null for anything else. */
export function instant(value: unknown): Date | null {
  const at = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(at) ? null : new Date(at)
}

/** An id as it may stand in a path: nothing that walks (promise T17). */
export function isId(value: string): boolean {
  return /^\d{1,20}$/.test(value)
}

/** Whether `ask` finds something. @throws what is not a plain "there is no such thing" */
export async function isThere(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
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
export function age(reader: Reader, since: number): string {
  const minutes = Math.max(
    1,
    Math.ceil((reader.now() - since + OVERLAP_MS + LONGEST_CHAIN_MS + reader.doubtMs()) / MINUTE_MS)
  )
  return minutes < 100_000 ? `-${minutes}m` : `-${Math.ceil(minutes / 1_440)}d`
}

/** Watches a chain of pages that are read in the order of a date: when it has to be begun anew from where it is. */
export function chain(reader: Reader, from: number | null) {
  const began = reader.now()
  let served = 0
  let at = from
  return {
    /** @param newest the date of the last item of a page */
    read(items: number, newest: number | null): void {
      served += items
      at = newest ?? at
    },
    at: () => at,
    isOver: () =>
      at !== null &&
      at > (from ?? -Infinity) &&
      (served >= LONGEST_CHAIN_ITEMS || reader.now() - began > LONGEST_CHAIN_MS)
  }
}

/** Pages that shrink when Atlassian cannot make large ones in time, and grow again (atlassian.md section 9.4). */
export function sized(largest: number) {
  let size = largest
  return async (ask: (size: number) => Promise<unknown>): Promise<unknown> => {
    while (true) {
      try {
        const answer = await ask(size)
        size = Math.min(largest, size * 2)
        return answer
      } catch (error) {
        if (!(error instanceof AppError) || error.upstreamStatus !== 504 || size <= SMALLEST_PAGE) {
          throw error
        }
        size = Math.max(SMALLEST_PAGE, Math.floor(size / 2))
      }
    }
  }
}

const SMALLEST_PAGE = 5

export function optional(value: unknown, name: string): string | null {
  return isRecord(value) ? text(value[name]) : null
}
