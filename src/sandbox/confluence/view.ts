import type { GatewayCall } from '../state.ts'
import type { PageRow } from '../data/pages.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { pick } from '../data/hash.ts'
import { findParent } from '../data/page-tree.ts'
import { formatIsoDate } from '../query/format-date.ts'

export const LIST_FORMATS = ['storage', 'atlas_doc_format'] as const
export const PAGE_FORMATS = [
  ...LIST_FORMATS,
  'view',
  'export_view',
  'anonymous_export_view',
  'styled_view',
  'editor'
] as const

/**
 * A page in the format of API v2 (docs/reference/atlassian.md#91-pages). `body` is empty unless
 * the query names a format.
 */
export function renderPage(
  call: GatewayCall,
  row: PageRow,
  format: string | null,
  isOldVersion = false
): Record<string, unknown> {
  const {
    site: { pages, spaces, seed, answers },
    state
  } = call
  const space = spaces.at(row.space)
  const title = pages.title(row)
  const isTrashed = row.status === 'trashed'
  const parent = isTrashed ? null : findParent(call.site, row)
  const isLiveDoc = answers.rules().liveDocs.has(row.id)
  const author = pick(state.users, seed, 140, row.position).accountId
  return {
    id: row.id,
    status: row.status,
    title,
    spaceId: space?.id ?? null,
    parentId: parent?.id ?? null,
    parentType: parent?.type ?? null,
    position: isTrashed ? null : row.position,
    subtype: isLiveDoc || row.position % 13 === 12 ? 'live' : null,
    authorId: author,
    ownerId: author,
    lastOwnerId: null,
    createdAt: formatIsoDate(row.created),
    version: {
      number: row.version,
      message: null,
      minorEdit: false,
      authorId: pick(state.users, seed, 141, row.position).accountId,
      createdAt: formatIsoDate(row.modified),
      ncsStepVersion: null
    },
    body:
      format === null
        ? {}
        : {
            [format]: {
              representation: format,
              value: isLiveDoc && !isOldVersion ? '' : renderBody(call, row, format)
            }
          },
    _links: {
      webui: webuiPath(space?.key ?? '', row.id, pages.isHomepage(row) ? undefined : title),
      editui: `/pages/resumedraft.action?draftId=${row.id}`,
      edituiv2: `/spaces/${space?.key ?? ''}/pages/edit-v2/${row.id}`,
      tinyui: `/x/${encodeTinyId(Number(row.id))}`
    }
  }
}

/**
 * Path below `{site}/wiki`. A homepage, which is passed without a title, has the URL of its
 * space.
 */
export function webuiPath(key: string, id: string, title: string | undefined): string {
  if (title === undefined) return `/spaces/${key}/overview`
  return `/spaces/${key}/pages/${id}/${encodeURIComponent(title).replaceAll('%20', '+')}`
}

const BASE64_URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Base64 of the id's four bytes, little-endian, without trailing zeros. Without a Buffer, which
 * takes five times as long.
 */
function encodeTinyId(id: number): string {
  const [a, b, c, d] = [id & 255, (id >>> 8) & 255, (id >>> 16) & 255, id >>> 24]
  const first =
    BASE64_URL.charAt(a >> 2) +
    BASE64_URL.charAt(((a & 3) << 4) | (b >> 4)) +
    BASE64_URL.charAt(((b & 15) << 2) | (c >> 6))
  return (
    first +
    BASE64_URL.charAt(c & 63) +
    BASE64_URL.charAt(d >> 2) +
    BASE64_URL.charAt((d & 3) << 4)
  ).replace(/(?<!A)A+$/, '')
}

function renderBody({ site: { pages } }: GatewayCall, row: PageRow, format: string): string {
  const storage = pages.storageBody(row)
  if (format !== 'atlas_doc_format') return storage
  const text = storage.replaceAll(/<[^<>]*>/g, '') || ' '
  return JSON.stringify({
    type: 'doc',
    version: 1,
    content: [{ type: 'paragraph', content: [{ type: 'text', text }] }]
  })
}

/** A space in the format of API v2 (docs/reference/atlassian.md#92-spaces). */
export function renderSpace(
  call: GatewayCall,
  row: SpaceRow,
  format: string | null
): Record<string, unknown> {
  const author = pick(call.state.users, call.site.seed, 142, row.position).accountId
  const homepage = call.site.pages.at(row.position)
  return {
    id: row.id,
    key: row.key,
    name: row.name,
    type: row.type,
    status: row.status,
    authorId: author,
    spaceOwnerId: author,
    currentActiveAlias: null,
    createdAt: formatIsoDate(row.created),
    homepageId: homepage?.space === row.position ? homepage.id : null,
    description:
      format === null
        ? null
        : { [format]: { representation: format, value: `What ${row.name} is for` } },
    icon: null,
    _links: { webui: `/spaces/${row.key}` }
  }
}
