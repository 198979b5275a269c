import { Type } from '@sinclair/typebox'
import { Nullable } from '../../lib/typebox.ts'
import type { Item, ItemTableShape } from '../../model/items.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import { fetchInBatches } from '../adaptive-pager.ts'
import { lookUpInBatches, type LookUpBatch } from '../look-up.ts'
import {
  checkExists,
  createInvalidItem,
  describeTooLongText,
  getTextField,
  parseItems
} from '../paging.ts'
import type { Collection, CollectionReader } from '../provider.ts'
import { fetchListPages, fetchWholeList, MAX_PAGE_SIZE, type TwoWayListing } from './listing.ts'

const SPACE_LISTING: TwoWayListing = {
  path: '/wiki/api/v2/spaces',
  forward: { sort: 'id' },
  backward: { sort: '-id' },
  findById: (id) => ({ ids: id }),
  getId: (value) => getTextField(value, 'id')
}

const table = {
  name: 'spaces',
  columns: {
    spaceId: { kind: 'text' },
    key: { kind: 'ordered' },
    name: { kind: 'text' },
    type: { kind: 'text', isNullable: true },
    status: { kind: 'text', isNullable: true }
  },
  sortBy: 'key',
  filterBy: { column: 'key', parameter: 'space' },
  searchBy: ['key', 'name']
} as const satisfies ItemTableShape

export const spaces: Collection<typeof table> = {
  name: 'spaces',
  table,
  isNeverEmpty: true,
  responseFields: {
    space_id: Type.String({ example: '98310' }),
    key: Type.String({ example: 'ENG' }),
    name: Type.String({ example: 'Engineering' }),
    type: Nullable(Type.String({ example: 'global' })),
    status: Nullable(Type.String({ example: 'current' })),
    url: Nullable(Type.String({ example: 'https://acme.atlassian.net/wiki/spaces/ENG' }))
  },
  toResponse: ({ spaceId, key, name, type, status, url }) => ({
    space_id: spaceId,
    key,
    name,
    type,
    status,
    url
  }),
  parentFilter: { description: 'The key of the only space', example: 'ENG' },
  async *list(reader, cursor) {
    for await (const { results, failedItems, ...page } of fetchListPages(
      reader,
      SPACE_LISTING,
      cursor
    )) {
      const { items, invalidItems } = parseItems(results, (value) => parseSpace(value, reader))
      yield { items, invalidItems: [...failedItems, ...invalidItems], ...page }
    }
  },
  lookUp: async (reader, ids, controlId) =>
    await lookUpInBatches(ids, controlId, {
      batchSize: MAX_PAGE_SIZE,
      fetchBatch: async (batchIds) => await fetchSpaces(reader, batchIds),
      exists: async (id) =>
        await checkExists(async () => await reader.get(`/wiki/api/v2/spaces/${id}`))
    })
}

/** A trashed space counts as deleted (docs/reference/atlassian.md#92-spaces). */
async function fetchSpaces(
  reader: CollectionReader,
  ids: string[]
): Promise<LookUpBatch<Item<typeof table>>> {
  const values: unknown[] = []
  const failedItems = await fetchInBatches(ids, MAX_PAGE_SIZE, async (batchIds, options) => {
    const query = { ids: batchIds.join(','), limit: String(MAX_PAGE_SIZE) }
    values.push(...(await fetchWholeList(reader, SPACE_LISTING.path, query, options)))
  })
  const deleted = values.filter((value) => isRecord(value) && value.status === 'trashed')
  const { items, invalidItems } = parseItems(
    values.filter((value) => !deleted.includes(value)),
    (value) => parseSpace(value, reader)
  )
  return {
    items,
    invalidItems: [...failedItems, ...invalidItems],
    deletedIds: deleted.flatMap((value) => SPACE_LISTING.getId(value) ?? [])
  }
}

function parseSpace(value: Record<string, unknown>, { site }: CollectionReader) {
  const [remoteId, key] = [toStorableText(value.id), toStorableText(value.key)]
  if (remoteId === null || key === null) {
    return createInvalidItem(remoteId, 'It has no id or no key.')
  }
  const item: Item<typeof table> = {
    spaceId: remoteId,
    key,
    name: toStorableText(value.name) ?? key,
    type: toStorableText(value.type),
    status: toStorableText(value.status),
    url: `${site.url}/wiki/spaces/${encodeURIComponent(key)}`,
    remoteUpdatedAt: null
  }
  const problem = describeTooLongText({
    key,
    name: item.name,
    type: item.type ?? null,
    status: item.status ?? null
  })
  return problem === undefined ? { remoteId, item } : createInvalidItem(remoteId, problem)
}
