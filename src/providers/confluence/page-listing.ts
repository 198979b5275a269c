import { isRecord } from '../../lib/json.ts'
import type { Item } from '../../model/items.ts'
import { fetchInBatches } from '../adaptive-pager.ts'
import { lookUpInBatches } from '../look-up.ts'
import {
  checkExists,
  createPageChain,
  formatRelativeBound,
  formatSettledBound,
  getTextField,
  isId,
  parseDate
} from '../paging.ts'
import type { CallOptions, CollectionReader, LookUpResult } from '../provider.ts'
import { fetchListPages, fetchWholeList, MAX_PAGE_SIZE, type TwoWayListing } from './listing.ts'
import { parsePages, type PageBatch, type pageTable } from './page-item.ts'

const PAGES_PATH = '/wiki/api/v2/pages'
/** Smaller than without bodies: each body can be large. */
const PAGE_SIZE_WITH_BODIES = 50
/** Pages by id are returned in each of these states (docs/reference/atlassian.md#91-pages). */
const ALL_STATUSES = 'current,archived,trashed,deleted'
const DELETED_STATUSES: unknown[] = ['trashed', 'deleted']

export async function* listPages(
  reader: CollectionReader,
  cursor: string | null
): AsyncGenerator<PageBatch> {
  const listing: TwoWayListing = {
    path: PAGES_PATH,
    forward: { sort: 'id', ...bodyFormatQuery(reader) },
    backward: { sort: '-id', ...bodyFormatQuery(reader) },
    findById: (id) => ({ id }),
    getId: (value) => getTextField(value, 'id'),
    ...(reader.includeBodies ? { forwardLight: { sort: 'id' } } : {})
  }
  for await (const { results, failedItems, ...page } of fetchListPages(
    reader,
    listing,
    cursor,
    getPageSize(reader)
  )) {
    const { items, invalidItems } = await parsePages(reader, results)
    yield { items, invalidItems: [...failedItems, ...invalidItems], ...page }
  }
}

/**
 * CQL finds the changed pages, and the v2 API returns their current contents. CQL never returns
 * archived pages (docs/reference/atlassian.md#94-cql-search).
 */
export async function* listChangedPages(
  reader: CollectionReader,
  since: number,
  isSettled: boolean
): AsyncGenerator<PageBatch> {
  const settledBound = isSettled ? formatSettledBound(reader, since) : null
  if (settledBound !== null && (await isUnchanged(reader, settledBound))) return
  let from = since
  while (true) {
    const chain = createPageChain(reader, from)
    for await (const { results, failedItems, next, flaw, isRestart, isBackward } of fetchListPages(
      reader,
      createChangeListing(formatRelativeBound(reader, from)),
      null
    )) {
      const hits = results.map((value) => ({
        id: CHANGE.getId(value),
        changed: parseDate(getTextField(value, 'lastModified'))
      }))
      const stored = await reader.findStored(
        'pages',
        hits.flatMap(({ id }) => id ?? [])
      )
      const changedIds = hits.flatMap(({ id, changed }) =>
        id !== null &&
        (changed === null || Number(stored.get(id)?.remote_updated_at ?? -1) < changed.getTime())
          ? id
          : []
      )
      // A listing that is read from its end says nothing about what lies before.
      const newest = isBackward ? null : (hits.at(-1)?.changed?.getTime() ?? null)
      chain.addPage(hits.length, newest)
      const batch = await fetchPages(reader, changedIds)
      yield {
        ...batch,
        invalidItems: [...failedItems, ...batch.invalidItems],
        newest,
        flaw,
        ...(isRestart === true ? { isRestart } : {})
      }
      if (next === null) return
      if (!isBackward && chain.isExhausted()) break
    }
    from = chain.getPosition()
  }
}

/** Whether no page has changed since a bound. */
async function isUnchanged(reader: CollectionReader, bound: string): Promise<boolean> {
  const { value: page } = await fetchListPages(reader, createChangeListing(bound), null).next()
  return page?.results.length === 0 && page.failedItems.length === 0 && page.next === null
}

const CHANGE = {
  path: '/wiki/rest/api/search',
  getId: (value: unknown) => (isRecord(value) ? getTextField(value.content, 'id') : null)
}

function createChangeListing(bound: string): TwoWayListing {
  const query = (cql: string) => ({ cql: `type = page and ${cql}`, excerpt: 'none' })
  const changed = `lastmodified >= now("${bound}") order by lastmodified`
  return {
    ...CHANGE,
    forward: query(`${changed} asc`),
    backward: query(`${changed} desc`),
    findById: (id) => query(`id = ${id}`)
  }
}

/** Reads pages by id. Pages that are gone, hidden or in the trash are left out. */
export async function fetchPages(
  reader: CollectionReader,
  ids: readonly string[]
): Promise<PageBatch> {
  const { values, failedItems } = await fetchPagesById(reader, ids)
  const { items, invalidItems } = await parsePages(reader, values)
  return { items, invalidItems: [...failedItems, ...invalidItems], next: null }
}

/** A page in the trash is returned with its status, which proves its deletion. */
export async function lookUpPages(
  reader: CollectionReader,
  ids: readonly string[],
  controlId: string | undefined
): Promise<LookUpResult<Item<typeof pageTable>>> {
  return await lookUpInBatches(ids, controlId, {
    batchSize: MAX_PAGE_SIZE,
    async fetchBatch(batchIds) {
      const { values, failedItems } = await fetchPagesById(reader, batchIds, ALL_STATUSES)
      const deleted = values.filter(isDeleted)
      const { items, invalidItems } = await parsePages(
        reader,
        values.filter((value) => !isDeleted(value))
      )
      return {
        items,
        invalidItems: [...failedItems, ...invalidItems],
        deletedIds: deleted.flatMap((value) => getTextField(value, 'id') ?? [])
      }
    },
    async exists(id) {
      let page: unknown
      const isFound = await checkExists(async () => {
        page = await reader.get(`${PAGES_PATH}/${id}`)
      })
      return isFound && !isDeleted(page)
    }
  })
}

async function fetchPagesById(reader: CollectionReader, ids: readonly string[], status?: string) {
  const values: unknown[] = []
  const fetchBatch = async (batchIds: string[], options: CallOptions) => {
    const query = {
      id: batchIds.join(','),
      sort: 'id',
      limit: String(batchIds.length),
      ...(status === undefined ? {} : { status }),
      ...bodyFormatQuery(reader)
    }
    values.push(...(await fetchWholeList(reader, PAGES_PATH, query, options)))
  }
  const failedItems = await fetchInBatches(ids.filter(isId), getPageSize(reader), fetchBatch)
  return { values, failedItems }
}

function isDeleted(value: unknown): boolean {
  return isRecord(value) && DELETED_STATUSES.includes(value.status)
}

function getPageSize({ includeBodies }: CollectionReader): number {
  return includeBodies ? PAGE_SIZE_WITH_BODIES : MAX_PAGE_SIZE
}

function bodyFormatQuery({ includeBodies }: CollectionReader): Record<string, string> {
  return includeBodies ? { 'body-format': 'storage' } : {}
}
