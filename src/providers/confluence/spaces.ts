import { Type } from '@sinclair/typebox'
import { Nullable } from '../../http/schemas.ts'
import type { Items } from '../../model/items.ts'
import { listing } from './listing.ts'
import { text } from '../../lib/json.ts'
import type { Collection, Reader } from '../provider.ts'
import { isId, isThere, judged, tooLong, unfit } from '../paging.ts'

export const spaces: Collection<'spaces'> = {
  name: 'spaces',
  neverEmpty: true,
  row: {
    space_id: Type.String({ example: '98310' }),
    key: Type.String({ example: 'ENG' }),
    name: Type.String({ example: 'Engineering' }),
    type: Nullable(Type.String({ example: 'global' })),
    status: Nullable(Type.String({ example: 'current' })),
    url: Nullable(Type.String({ example: 'https://acme.atlassian.net/wiki/spaces/ENG' }))
  },
  toWire: ({ spaceId, key, name, type, status, url }) => ({
    space_id: spaceId,
    key,
    name,
    type,
    status,
    url
  }),
  sortValue: ({ key }) => key,
  within: { name: 'space', description: 'The key of the only space', example: 'ENG' },
  async *list(reader, cursor) {
    for await (const { results, next } of listing(reader, '/wiki/api/v2/spaces', {}, cursor)) {
      yield { ...judged(results, (value) => space(value, reader)), next }
    }
  },
  look: async (reader, id) =>
    isId(id) ? await isThere(async () => await reader.get(`/wiki/api/v2/spaces/${id}`)) : undefined
}

function space(value: Record<string, unknown>, { site }: Reader) {
  const [remoteId, key] = [text(value.id), text(value.key)]
  if (remoteId === null || key === null) return unfit(remoteId, 'It has no id or no key.')
  const item: Items['spaces'] = {
    spaceId: remoteId,
    key,
    name: text(value.name) ?? key,
    type: text(value.type),
    status: text(value.status),
    url: `${site.url}/wiki/spaces/${encodeURIComponent(key)}`,
    remoteUpdatedAt: null
  }
  const problem = tooLong({
    key,
    name: item.name,
    type: item.type ?? null,
    status: item.status ?? null
  })
  return problem === undefined ? { remoteId, item } : unfit(remoteId, problem)
}
