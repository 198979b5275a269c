import type { Item, ItemTableShape } from '../../model/items.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import {
  createInvalidItem,
  describeTooLongText,
  getTextField,
  parseDate,
  parseItems
} from '../paging.ts'
import type { CollectionReader, InvalidItem, ItemBatch } from '../provider.ts'
import { toPlainText } from './plain-text.ts'

/**
 * The usual form of links: no character or escape that a URL parser treats as anything but a
 * path.
 */
const SAFE_PATH = /^\/(?!.*%2e)[\w+%~!*'()/-]{1,1500}$/i
const MAX_BODY_LENGTH = 4 * 1024 * 1024

export const pageTable = {
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

export type PageBatch = ItemBatch<Item<typeof pageTable>>

/**
 * Pages carry only the id of their space (docs/reference/atlassian.md#92-spaces). Keys come from
 * the stored spaces, which a run copies first.
 */
export async function parsePages(
  reader: CollectionReader,
  results: unknown[]
): Promise<Pick<PageBatch, 'items' | 'invalidItems'>> {
  const ids = results.flatMap((value) =>
    isRecord(value) ? (toStorableText(value.spaceId) ?? []) : []
  )
  const spaces = await reader.findStored('spaces', [...new Set(ids)])
  const { items, invalidItems } = parseItems(results, (value) =>
    parsePage(value, reader, toStorableText(spaces.get(toStorableText(value.spaceId) ?? '')?.key))
  )
  const liveIds = new Set(
    results.map((value) =>
      isRecord(value) && value.subtype === 'live' ? toStorableText(value.id) : null
    )
  )
  const emptied = reader.includeBodies
    ? items.filter(({ remoteId, item }) => liveIds.has(remoteId) && (item.body ?? '').trim() === '')
    : []
  return {
    items,
    invalidItems: [...invalidItems, ...(await keepStoredBodies(reader, emptied))]
  }
}

/**
 * The current version of a live doc can be empty while an older one has the text
 * (docs/reference/atlassian.md#91-pages). The stored text is kept, and each such version is
 * reported once.
 */
async function keepStoredBodies(
  reader: CollectionReader,
  emptied: PageBatch['items']
): Promise<InvalidItem[]> {
  const ids = emptied.map(({ remoteId }) => remoteId)
  const stored = await reader.findStored('pages', ids, true)
  const reports: InvalidItem[] = []
  for (const { remoteId, item } of emptied) {
    const row = stored.get(remoteId)
    if (typeof row?.body !== 'string' || row.body.trim() === '') continue
    item.body = row.body
    item.bodyText = typeof row.body_text === 'string' ? row.body_text : null
    if (Number(row.remote_updated_at ?? -1) < (item.remoteUpdatedAt?.getTime() ?? 0)) {
      reports.push({
        remoteId,
        code: 'body_empty',
        detail:
          'The new version of the live doc has no text. The text of the version before is kept.',
        isStored: true
      })
    }
  }
  return reports
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
  const item: Item<typeof pageTable> = {
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
