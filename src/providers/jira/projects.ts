import { Type } from '@sinclair/typebox'
import { AppError } from '../../lib/errors.ts'
import { Key, Nullable, OptionalText, Text, Url } from '../../lib/typebox.ts'
import type { Item, ItemTableShape } from '../../model/items.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import {
  createAdaptivePager,
  createFailedItem,
  fetchInBatches,
  isDivisibleFailure
} from '../adaptive-pager.ts'
import { lookUpInBatches, type LookUpBatch } from '../look-up.ts'
import {
  checkExists,
  createInvalidItem,
  describeTooLongText,
  getTextField,
  parseItems
} from '../paging.ts'
import type {
  CallOptions,
  Collection,
  CollectionReader,
  InvalidItem,
  ItemBatch
} from '../provider.ts'

const PAGE_SIZE = 100
/** Maximum ids in one search (docs/reference/atlassian.md#81-project-search). */
const LOOK_UP_BATCH_SIZE = 50
/** More projects in a row that cannot be read mean that Jira is down. */
const MAX_FAILED_IN_A_ROW = 3

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
      key: Key(64, 'The project key', 'PAY'),
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
  list: listProjects,
  lookUp: async (reader, ids, controlId) =>
    await lookUpInBatches(ids, controlId, {
      batchSize: LOOK_UP_BATCH_SIZE,
      fetchBatch: async (batchIds) => await fetchProjects(reader, batchIds),
      exists: async (id) => await isLive(reader, id)
    })
}

/**
 * `project/search` pages by offset. The offset advances by the number of items received, not by
 * the page size requested (docs/reference/atlassian.md#81-project-search). A project whose page
 * fails is passed over.
 */
async function* listProjects(
  reader: CollectionReader,
  cursor: string | null
): AsyncGenerator<ItemBatch<Item<typeof table>>> {
  const pager = createAdaptivePager(PAGE_SIZE)
  let startAt = Number(cursor ?? 0)
  let failedItems: InvalidItem[] = []
  while (true) {
    let page: ProjectPage
    try {
      page = await pager.fetch(
        async (size, options) =>
          await searchProjects(
            reader,
            { startAt: String(startAt), maxResults: String(size), orderBy: 'key' },
            options
          )
      )
    } catch (error) {
      if (!isDivisibleFailure(error) || failedItems.length >= MAX_FAILED_IN_A_ROW) throw error
      failedItems.push(createFailedItem(null, `The project at position ${startAt} cannot be read.`))
      pager.recordFailedItem()
      startAt++
      continue
    }
    const { values, total, isLast } = page
    startAt += values.length
    const isEnd = isLast ?? (values.length === 0 || startAt >= total)
    const isCutOff = !isEnd && values.length === 0
    const { items, invalidItems } = parseItems(values, (value) => parseProject(value, reader))
    yield {
      items,
      invalidItems: [...failedItems, ...invalidItems],
      next: isEnd || isCutOff ? null : String(startAt),
      expected: Number.isNaN(total) ? null : total,
      flaw: isCutOff ? 'cut_off' : undefined
    }
    if (isEnd || isCutOff) return
    failedItems = []
  }
}

interface ProjectPage {
  values: unknown[]
  /** NaN where Jira does not say. */
  total: number
  isLast: boolean | undefined
}

async function searchProjects(
  reader: CollectionReader,
  query: Record<string, string | string[]>,
  options?: CallOptions
): Promise<ProjectPage> {
  const response = await reader.get(
    '/rest/api/3/project/search',
    { ...query, expand: 'lead' },
    options
  )
  if (!isRecord(response) || !Array.isArray(response.values)) {
    throw new AppError('upstream_invalid_answer', 'Jira returned projects in an unknown format.')
  }
  return {
    values: response.values,
    total: Number(response.total ?? NaN),
    isLast: typeof response.isLast === 'boolean' ? response.isLast : undefined
  }
}

async function fetchProjects(
  reader: CollectionReader,
  ids: string[]
): Promise<LookUpBatch<Item<typeof table>>> {
  const values: unknown[] = []
  const failedItems = await fetchInBatches(ids, LOOK_UP_BATCH_SIZE, async (batchIds, options) => {
    const query = { id: batchIds, maxResults: String(batchIds.length) }
    values.push(...(await searchProjects(reader, query, options)).values)
  })
  const { items, invalidItems } = parseItems(values, (value) => parseProject(value, reader))
  return { items, invalidItems: [...failedItems, ...invalidItems], deletedIds: [] }
}

/** Whether a project exists. Lists do not contain archived and deleted ones. */
async function isLive(reader: CollectionReader, id: string): Promise<boolean> {
  let project: unknown
  const isFound = await checkExists(async () => {
    project = await reader.get(`/rest/api/3/project/${id}`)
  })
  return isFound && !(isRecord(project) && (project.archived === true || project.deleted === true))
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
