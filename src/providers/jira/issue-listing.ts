import { isRecord, toStorableText } from '../../lib/json.ts'
import { createAdaptivePager, isDivisibleFailure } from '../adaptive-pager.ts'
import {
  createInvalidItem,
  createPageChain,
  formatRelativeBound,
  formatSettledBound,
  getTextField,
  parseDate,
  parseItems,
  type PageChain
} from '../paging.ts'
import type { CollectionReader, InvalidItem } from '../provider.ts'
import { FETCH_BATCH_SIZE, fetchIssues } from './issue-fetch.ts'
import { ISSUE_FIELDS, parseIssue, type IssueBatch } from './issue-item.ts'
import {
  ALL_ISSUES_JQL,
  countIssues,
  MAX_SEARCH_IDS,
  MAX_SEARCH_ISSUES,
  searchIssues,
  type IssueSearchPage
} from './issue-search.ts'

/**
 * Lists issues in order of creation. The cursor is the creation time of the last issue. A page
 * chain has a maximum length and its tokens expire, so the listing starts a new chain from the
 * cursor and skips issues that it has already read. Where a page of one issue fails, ids are
 * searched instead and read in batches, which leave out the failing issue.
 */
export async function* listIssues(
  reader: CollectionReader,
  cursor: string | null
): AsyncGenerator<IssueBatch> {
  const expected = await countIssues(reader)
  yield* searchInChains(reader, cursor === null ? null : Number(cursor), {
    toJql: (from) => `${restrictToCreated(reader, from)} order by created asc`,
    async toBatch({ values, isLast, flaw }, chain, from) {
      const unseen = from === null ? values : await filterUnseen(reader, values)
      chain.addPage(values.length, findNewest(values, 'created'))
      return {
        ...parseItems(unseen, (value) => parseIssue(value, reader)),
        next: isLast ? null : String(chain.getPosition() ?? 0),
        expected,
        flaw
      }
    },
    listById: (from) => listIssuesById(reader, from, expected)
  })
}

interface ChainedSearch<From extends number | null> {
  toJql: (from: From | number) => string
  /** Adds the page to the chain, and parses it. */
  toBatch: (
    page: IssueSearchPage,
    chain: PageChain<From | number>,
    from: From | number
  ) => Promise<IssueBatch>
  /** Lists the rest where a page of one issue fails. */
  listById: (from: From | number) => AsyncGenerator<IssueBatch>
}

/** Searches issues in date order, in one page chain after the other. */
async function* searchInChains<From extends number | null>(
  reader: CollectionReader,
  start: From,
  { toJql, toBatch, listById }: ChainedSearch<From>
): AsyncGenerator<IssueBatch> {
  const pager = createAdaptivePager(MAX_SEARCH_ISSUES)
  let from: From | number = start
  while (true) {
    const chain: PageChain<From | number> = createPageChain(reader, from)
    try {
      for await (const page of searchIssues(reader, toJql(from), ISSUE_FIELDS, pager)) {
        yield await toBatch(page, chain, from)
        if (page.isLast) return
        if (chain.isExhausted()) break
      }
    } catch (error) {
      if (!pager.restart(error)) {
        if (!isDivisibleFailure(error)) throw error
        yield* listById(chain.getPosition())
        return
      }
    }
    from = chain.getPosition()
  }
}

async function* listIssuesById(
  reader: CollectionReader,
  start: number | null,
  expected: number | null
): AsyncGenerator<IssueBatch> {
  let from = start
  while (true) {
    const chain = createPageChain(reader, from)
    const jql = `${restrictToCreated(reader, from)} order by created asc`
    for await (const { ids, invalidItems, isEnd, flaw } of searchIds(reader, jql)) {
      const stored = await reader.findStored('issues', ids)
      const batch = await fetchIssues(
        reader,
        ids.filter((id) => stored.get(id)?.pass !== reader.generation)
      )
      const created = [
        ...batch.items.map(({ item }) => item.remoteCreatedAt?.getTime()),
        ...ids.map((id) => stored.get(id)?.remote_created_at)
      ].filter((at) => typeof at === 'number')
      chain.addPage(ids.length, created.length === 0 ? null : Math.max(...created))
      yield {
        ...batch,
        invalidItems: [...invalidItems, ...batch.invalidItems],
        next: isEnd ? null : String(chain.getPosition() ?? 0),
        expected,
        flaw
      }
      if (isEnd) return
      if (chain.isExhausted()) break
    }
    from = chain.getPosition()
  }
}

/** Lists changed issues in the order of their changes. */
export async function* listChangedIssues(
  reader: CollectionReader,
  since: number,
  isSettled: boolean
): AsyncGenerator<IssueBatch> {
  const settledBound = isSettled ? formatSettledBound(reader, since) : null
  if (settledBound !== null && (await isUnchanged(reader, settledBound))) return
  yield* searchInChains(reader, since, {
    toJql: (from) => changedSince(reader, from),
    async toBatch({ values, flaw }, chain) {
      const newest = findNewest(values.slice(-1), 'updated')
      chain.addPage(values.length, newest)
      const changed = await filterChanged(reader, values)
      return {
        ...parseItems(changed, (value) => parseIssue(value, reader)),
        next: null,
        newest,
        flaw
      }
    },
    listById: (from) => listChangedIssuesById(reader, from)
  })
}

/** Whether no issue has changed since a bound. */
async function isUnchanged(reader: CollectionReader, bound: string): Promise<boolean> {
  const jql = `updated >= "${bound}" order by updated asc`
  const { value: page } = await searchIssues(reader, jql, ['id']).next()
  return page?.values.length === 0 && page.isLast && page.flaw === undefined
}

/** Reads all issues that may have changed: a search for ids does not say when. */
async function* listChangedIssuesById(
  reader: CollectionReader,
  since: number
): AsyncGenerator<IssueBatch> {
  for await (const { ids, invalidItems, flaw } of searchIds(reader, changedSince(reader, since))) {
    const batch = await fetchIssues(reader, ids)
    const newest = batch.items.flatMap(({ item }) => item.remoteUpdatedAt?.getTime() ?? [])
    yield {
      ...batch,
      invalidItems: [...invalidItems, ...batch.invalidItems],
      newest: newest.length === 0 ? null : Math.max(...newest),
      flaw
    }
  }
}

interface IdBatch {
  ids: string[]
  invalidItems: InvalidItem[]
  isEnd: boolean
  flaw: IssueBatch['flaw']
}

/** Searches ids, and yields them in batches of a bulk fetch. */
async function* searchIds(reader: CollectionReader, jql: string): AsyncGenerator<IdBatch> {
  const pager = createAdaptivePager(MAX_SEARCH_IDS)
  for await (const { values, isLast, flaw } of searchIssues(reader, jql, ['id'], pager)) {
    const hits = values.map((value) => (isRecord(value) ? toStorableText(value.id) : null))
    const ids = hits.filter((id) => id !== null)
    for (let i = 0; i < Math.max(1, ids.length); i += FETCH_BATCH_SIZE) {
      yield {
        ids: ids.slice(i, i + FETCH_BATCH_SIZE),
        invalidItems:
          i > 0
            ? []
            : hits.filter((id) => id === null).map(() => createInvalidItem(null, 'It has no id.')),
        isEnd: isLast && i + FETCH_BATCH_SIZE >= ids.length,
        flaw
      }
    }
  }
}

function changedSince(reader: CollectionReader, from: number): string {
  return `updated >= "${formatRelativeBound(reader, from)}" order by updated asc`
}

function restrictToCreated(reader: CollectionReader, from: number | null): string {
  return from === null ? ALL_ISSUES_JQL : `created >= "${formatRelativeBound(reader, from)}"`
}

/** Leaves out issues that this listing has already read. */
async function filterUnseen(reader: CollectionReader, values: unknown[]): Promise<unknown[]> {
  const stored = await reader.findStored('issues', getIds(values))
  return values.filter(
    (value) =>
      stored.get((isRecord(value) && toStorableText(value.id)) || '')?.pass !== reader.generation
  )
}

/** Leaves out issues whose stored version is not older. */
async function filterChanged(reader: CollectionReader, values: unknown[]): Promise<unknown[]> {
  const stored = await reader.findStored('issues', getIds(values))
  return values.filter((value) => {
    if (!isRecord(value)) return true
    const updated = parseDate(getTextField(value.fields, 'updated'))
    const row = stored.get(toStorableText(value.id) ?? '')
    return updated === null || Number(row?.remote_updated_at ?? -1) < updated.getTime()
  })
}

function getIds(values: unknown[]): string[] {
  return values.flatMap((value) => (isRecord(value) ? (toStorableText(value.id) ?? []) : []))
}

/** The latest of a date field, in ms since the epoch. */
function findNewest(values: unknown[], field: 'created' | 'updated'): number | null {
  const times = values.flatMap(
    (value) =>
      (isRecord(value) ? parseDate(getTextField(value.fields, field))?.getTime() : undefined) ?? []
  )
  return times.length === 0 ? null : Math.max(...times)
}
