import { Type } from '@sinclair/typebox'
import { Nullable, Text, Url } from '../../lib/typebox.ts'
import type { Item, ItemTableShape } from '../../model/items.ts'
import { fetchListPages, parseListPage } from './listing.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import { toPlainText } from './plain-text.ts'
import type { ItemBatch, Collection, CollectionReader } from '../provider.ts'
import {
  formatRelativeBound,
  createPageChain,
  parseDate,
  isId,
  checkExists,
  parseItems,
  getTextField,
  createAdaptivePager,
  describeTooLongText,
  createInvalidItem
} from '../paging.ts'

type PageBatch = ItemBatch<Item<typeof table>>

const PAGE_SIZE = 250
/** Smaller than without bodies: each body can be large. */
const PAGE_SIZE_WITH_BODIES = 50
/**
 * The usual form of links: no character or escape that a URL parser treats as anything but a
 * path.
 */
const SAFE_PATH = /^\/(?!.*%2e)[\w+%~!*'()/-]{1,1500}$/i
const MAX_BODY_LENGTH = 4 * 1024 * 1024

/** The connection option that copies the bodies of pages. */
export const PAGE_BODIES = 'page_bodies'

const table = {
  name: 'pages',
  columns: {
    spaceKey: { kind: 'text' },
    pageId: { kind: 'text' },
    title: { kind: 'ordered' },
    status: { kind: 'text', isNullable: true },
    /** Storage format. */
    body: { kind: 'text', isNullable: true, isLong: true },
    /** The body as plain text. */
    bodyText: { kind: 'text', isNullable: true, isLong: true }
  },
  sortBy: 'title',
  filterBy: { column: 'spaceKey', parameter: 'space' },
  searchBy: ['title']
} as const satisfies ItemTableShape

export const pages: Collection<typeof table> = {
  name: 'pages',
  table,
  body: {
    option: PAGE_BODIES,
    responseSchema: Type.Object(
      {
        storage: Type.String({
          description: "Confluence's storage format",
          example: '<p>Restart the worker.</p>'
        }),
        text: Type.String({
          description: 'Plain text, one line per block',
          example: 'Restart the worker.'
        })
      },
      {
        title: 'PageBody',
        description: 'Null where the connection does not copy bodies, or the page has none'
      }
    ),
    toResponse: ({ body, bodyText }) =>
      typeof body === 'string' ? { storage: body, text: bodyText ?? '' } : null
  },
  isNeverEmpty: true,
  manualUpload: {
    body: {
      space_key: Text(255, 'The key of its space', 'ENG'),
      page_id: Text(255, 'The page id', '302737'),
      title: Text(1024, 'The title', 'Runbook'),
      url: Type.Optional(Nullable(Url))
    },
    fromRequest: ({ space_key: spaceKey, page_id: pageId, title, url }) => ({
      // JSON keeps the two parts of the natural key apart, whatever they contain.
      remoteId: JSON.stringify([spaceKey, pageId]),
      item: {
        spaceKey: spaceKey as string,
        pageId: pageId as string,
        title: title as string,
        url: (url as string) ?? null
      }
    })
  },
  responseFields: {
    space_key: Type.String({ example: 'ENG' }),
    page_id: Type.String({ example: '302737' }),
    title: Type.String({ example: 'Runbook' }),
    status: Nullable(
      Type.String({
        description: 'current or archived; null for a page posted by hand',
        example: 'current'
      })
    ),
    url: Nullable(
      Type.String({ example: 'https://acme.atlassian.net/wiki/spaces/ENG/pages/302737/Runbook' })
    )
  },
  toResponse: ({ spaceKey, pageId, title, status, url }) => ({
    space_key: spaceKey,
    page_id: pageId,
    title,
    status: status ?? null,
    url
  }),
  parentFilter: { description: 'The key of their space', example: 'ENG' },

  async *list(reader, cursor) {
    const query = { sort: 'id', ...bodyFormatQuery(reader) }
    for await (const { results, next } of fetchListPages(
      reader,
      '/wiki/api/v2/pages',
      query,
      cursor,
      reader.includeBodies ? PAGE_SIZE_WITH_BODIES : PAGE_SIZE
    )) {
      yield { ...(await parsePages(reader, results)), next }
    }
  },

  /**
   * CQL finds the changed pages, and the v2 API returns their current contents. CQL never
   * returns archived pages (docs/reference/atlassian.md#94-cql-search).
   */
  async *listChanges(reader, since) {
    const fetchPage = createAdaptivePager(PAGE_SIZE)
    let [from, isEnd] = [since, false]
    while (!isEnd) {
      const pageChain = createPageChain(reader, from)
      const bound = formatRelativeBound(reader, from)
      const cql = `type = page and lastmodified >= now("${bound}") order by lastmodified asc`
      let cursor: string | null = null
      do {
        const currentCursor: string | null = cursor
        const response = parseListPage(
          await fetchPage(
            async (size) =>
              await reader.get('/wiki/rest/api/search', {
                cql,
                limit: String(size),
                excerpt: 'none',
                ...(currentCursor === null ? {} : { cursor: currentCursor })
              })
          )
        )
        const hits = response.results.filter(isRecord).map(({ content, lastModified }) => ({
          id: getTextField(content, 'id'),
          changed: parseDate(lastModified)
        }))
        const stored = await reader.findStored(
          'pages',
          hits.flatMap(({ id }) => id ?? [])
        )
        const changedHits = hits.filter(
          ({ id, changed }) =>
            id !== null &&
            (changed === null ||
              Number(stored.get(id)?.remote_updated_at ?? -1) < changed.getTime())
        )
        const newest = hits.at(-1)?.changed?.getTime() ?? null
        pageChain.addPage(hits.length, newest)
        cursor = response.next
        isEnd = cursor === null
        yield {
          ...(await fetchPages(
            reader,
            changedHits.map(({ id }) => id as string)
          )),
          newest
        }
      } while (!isEnd && !pageChain.isExhausted())
      from = pageChain.getPosition() ?? from
    }
  },

  fetch: fetchPages,
  exists: async (reader, id) =>
    isId(id)
      ? await checkExists(async () => await reader.get(`/wiki/api/v2/pages/${id}`))
      : undefined
}

async function fetchPages(reader: CollectionReader, ids: readonly string[]): Promise<PageBatch> {
  const batch: PageBatch = { items: [], invalidItems: [], next: null }
  const size = reader.includeBodies ? PAGE_SIZE_WITH_BODIES : PAGE_SIZE
  const validIds = ids.filter(isId)
  for (let i = 0; i < validIds.length; i += size) {
    for await (const { results } of fetchListPages(
      reader,
      '/wiki/api/v2/pages',
      { id: validIds.slice(i, i + size).join(','), sort: 'id', ...bodyFormatQuery(reader) },
      null,
      size
    )) {
      const { items, invalidItems } = await parsePages(reader, results)
      batch.items.push(...items)
      batch.invalidItems.push(...invalidItems)
    }
  }
  return batch
}

function bodyFormatQuery({ includeBodies }: CollectionReader): Record<string, string> {
  return includeBodies ? { 'body-format': 'storage' } : {}
}

/**
 * Pages carry only the id of their space (docs/reference/atlassian.md#92-spaces). Keys come from
 * the stored spaces, which a run copies first.
 */
async function parsePages(reader: CollectionReader, results: unknown[]) {
  const ids = results.flatMap((value) =>
    isRecord(value) ? (toStorableText(value.spaceId) ?? []) : []
  )
  const spaces = await reader.findStored('spaces', [...new Set(ids)])
  return parseItems(results, (value) =>
    parsePage(value, reader, toStorableText(spaces.get(toStorableText(value.spaceId) ?? '')?.key))
  )
}

function parsePage(value: Record<string, unknown>, reader: CollectionReader, space: string | null) {
  const pageId = toStorableText(value.id)
  const links = isRecord(value._links) ? value._links : {}
  const spaceKey = space ?? parseSpaceKey(toStorableText(links.webui))
  if (pageId === null) return createInvalidItem(null, 'It has no id.')
  if (spaceKey === null) {
    return createInvalidItem(pageId, 'Its space is not visible to this account.')
  }
  const body =
    reader.includeBodies && isRecord(value.body) ? getTextField(value.body.storage, 'value') : null
  const item: Item<typeof table> = {
    pageId,
    spaceKey,
    title: toStorableText(value.title) ?? '',
    status: toStorableText(value.status),
    url: buildPageUrl(reader.site.url, toStorableText(links.webui), pageId),
    remoteUpdatedAt: isRecord(value.version) ? parseDate(value.version.createdAt) : null,
    body,
    bodyText: body === null ? null : toPlainText(body)
  }
  const problem =
    (body?.length ?? 0) > MAX_BODY_LENGTH
      ? `Its body is longer than ${MAX_BODY_LENGTH} characters.`
      : describeTooLongText({
          title: item.title,
          'space key': spaceKey,
          status: item.status ?? null
        })
  return problem === undefined ? { remoteId: pageId, item } : createInvalidItem(pageId, problem)
}

/**
 * Takes the space key from the page's link, for spaces that Atlassian does not list to this
 * account (docs/reference/atlassian.md#92-spaces).
 */
function parseSpaceKey(webui: string | null): string | null {
  const [, key] = /^\/spaces\/([^/]+)\//.exec(webui ?? '') ?? []
  return key ?? null
}

/**
 * Always a URL on the site: uses only the path of the link, and only if it is below the site's
 * wiki path.
 */
function buildPageUrl(site: string, webui: string | null, pageId: string): string {
  const base = `${site}/wiki`
  if (webui !== null && SAFE_PATH.test(webui)) return `${base}${webui}`
  const url = URL.parse(`${base}${webui ?? ''}`)
  const isOnSite =
    webui?.startsWith('/') === true &&
    url?.href.startsWith(`${base}/`) === true &&
    url.href.length <= 2_048
  return isOnSite ? url.href : `${base}/pages/viewpage.action?pageId=${encodeURIComponent(pageId)}`
}
