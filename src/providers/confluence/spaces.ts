import { Type } from '@sinclair/typebox'
import { Nullable } from '../../lib/typebox.ts'
import type { Item, ItemTableShape } from '../../model/items.ts'
import { fetchListPages } from './listing.ts'
import { toStorableText } from '../../lib/json.ts'
import type { Collection, CollectionReader } from '../provider.ts'
import { isId, checkExists, parseItems, describeTooLongText, createInvalidItem } from '../paging.ts'

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
    for await (const { results, next } of fetchListPages(
      reader,
      '/wiki/api/v2/spaces',
      {},
      cursor
    )) {
      yield { ...parseItems(results, (value) => parseSpace(value, reader)), next }
    }
  },
  exists: async (reader, id) =>
    isId(id)
      ? await checkExists(async () => await reader.get(`/wiki/api/v2/spaces/${id}`))
      : undefined
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
