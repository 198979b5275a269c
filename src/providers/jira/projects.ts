import { Type } from '@sinclair/typebox'
import { AppError } from '../../lib/errors.ts'
import { Nullable, OptionalText, Text, Url } from '../../lib/typebox.ts'
import type { Item, ItemTableShape } from '../../model/items.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import type { Collection, CollectionReader } from '../provider.ts'
import {
  isId,
  checkExists,
  parseItems,
  getTextField,
  createAdaptivePager,
  describeTooLongText,
  createInvalidItem
} from '../paging.ts'

const PAGE_SIZE = 100

const table = {
  name: 'projects',
  columns: {
    key: { kind: 'ordered' },
    name: { kind: 'text' },
    lead: { kind: 'text', isNullable: true }
  },
  sortBy: 'key',
  filterBy: { column: 'key', parameter: 'project' },
  searchBy: ['key', 'name']
} as const satisfies ItemTableShape

export const projects: Collection<typeof table> = {
  name: 'projects',
  table,
  isNeverEmpty: true,
  manualUpload: {
    body: {
      key: Text(255, 'The project key', 'PAY'),
      name: Text(255, 'The project name', 'Payments'),
      lead: OptionalText(255, 'Who leads it', 'Dana Fox'),
      url: Type.Optional(Nullable(Url))
    },
    fromRequest: ({ key, name, lead, url }) => ({
      remoteId: key as string,
      item: {
        key: key as string,
        name: name as string,
        lead: (lead as string) ?? null,
        url: (url as string) ?? null
      }
    })
  },
  responseFields: {
    key: Type.String({ example: 'PAY' }),
    name: Type.String({ example: 'Payments' }),
    lead: Nullable(Type.String({ example: 'Dana Fox' })),
    url: Nullable(Type.String({ example: 'https://acme.atlassian.net/browse/PAY' }))
  },
  toResponse: ({ key, name, lead, url }) => ({ key, name, lead, url }),
  parentFilter: { description: 'The key of the only project', example: 'PAY' },
  /**
   * `project/search` pages by offset. The offset advances by the number of items received, not
   * by the page size requested (docs/reference/atlassian.md#81-project-search).
   */
  async *list(reader, cursor) {
    const fetchPage = createAdaptivePager(PAGE_SIZE)
    let startAt = Number(cursor ?? 0)
    while (true) {
      const response = await fetchPage(
        async (size) =>
          await reader.get('/rest/api/3/project/search', {
            startAt: String(startAt),
            maxResults: String(size),
            expand: 'lead',
            orderBy: 'key'
          })
      )
      if (!isRecord(response) || !Array.isArray(response.values)) {
        throw new AppError(
          'upstream_invalid_answer',
          'Jira returned projects in an unknown format.'
        )
      }
      startAt += response.values.length
      const total = Number(response.total ?? NaN)
      const isLast = response.isLast === true || response.values.length === 0 || startAt >= total
      yield {
        ...parseItems(response.values, (value) => parseProject(value, reader)),
        next: isLast ? null : String(startAt),
        expected: Number.isNaN(total) ? null : total,
        ...(Number.isNaN(total) ? {} : { minimumExpected: total })
      }
      if (isLast) return
    }
  },
  exists: async (reader, id) =>
    isId(id)
      ? await checkExists(async () => await reader.get(`/rest/api/3/project/${id}`))
      : undefined
}

function parseProject(value: Record<string, unknown>, { site }: CollectionReader) {
  const [remoteId, key] = [toStorableText(value.id), toStorableText(value.key)]
  if (remoteId === null || key === null) {
    return createInvalidItem(remoteId, 'It has no id or no key.')
  }
  const item: Item<typeof table> = {
    key,
    name: toStorableText(value.name) ?? key,
    lead: getTextField(value.lead, 'displayName'),
    url: `${site.url}/browse/${encodeURIComponent(key)}`,
    remoteUpdatedAt: null
  }
  const problem = describeTooLongText({ key: item.key, name: item.name, lead: item.lead ?? null })
  return problem === undefined ? { remoteId, item } : createInvalidItem(remoteId, problem)
}
