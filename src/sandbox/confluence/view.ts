import type { Call } from '../call.ts'
import type { PageRow } from '../data/pages.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { pick } from '../hash.ts'

export const LIST_FORMATS = ['storage', 'atlas_doc_format'] as const
export const PAGE_FORMATS = [...LIST_FORMATS, 'view', 'export_view', 'anonymous_export_view', 'styled_view', 'editor'] as const

/** One page as v2 shows it (atlassian.md 9.1). `body` is empty unless a format is asked for. */
export function viewPage (call: Call, row: PageRow, format: string | null): Record<string, unknown> {
  const { site: { pages, seed }, world } = call
  const parent = pages.parent(row)
  const author = pick(world.users, seed, 140, row.position).accountId
  return {
    id: row.id,
    status: row.status,
    title: pages.title(row),
    spaceId: call.site.spaces.at(row.space)?.id ?? null,
    parentId: parent === undefined ? null : pages.at(parent)?.id ?? null,
    parentType: parent === undefined ? null : 'page',
    position: row.position,
    subtype: row.position % 13 === 12 ? 'live' : null,
    authorId: author,
    ownerId: author,
    lastOwnerId: null,
    createdAt: new Date(row.created).toISOString(),
    version: {
      number: row.version,
      message: '',
      minorEdit: false,
      authorId: pick(world.users, seed, 141, row.position).accountId,
      createdAt: new Date(row.modified).toISOString(),
      ncsStepVersion: null
    },
    body: format === null ? {} : { [format]: { representation: format, value: bodyOf(call, row, format) } },
    _links: linksOf(call, row)
  }
}

export function linksOf (call: Call, row: PageRow): Record<string, string> {
  const key = call.site.spaces.at(row.space)?.key ?? ''
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(Number(row.id))
  return {
    webui: webuiOf(call, row),
    editui: `/pages/resumedraft.action?draftId=${row.id}`,
    edituiv2: `/spaces/${key}/pages/edit-v2/${row.id}`,
    tinyui: `/x/${bytes.toString('base64url').replace(/A+$/, '')}`
  }
}

/** Below `{site}/wiki`; a homepage has an address of its own. */
export function webuiOf ({ site: { spaces, pages } }: Call, row: PageRow): string {
  const key = spaces.at(row.space)?.key ?? ''
  if (pages.parent(row) === undefined) return `/spaces/${key}/overview`
  return `/spaces/${key}/pages/${row.id}/${encodeURIComponent(pages.title(row)).replaceAll('%20', '+')}`
}

function bodyOf ({ site: { pages } }: Call, row: PageRow, format: string): string {
  const storage = pages.storage(row)
  if (format !== 'atlas_doc_format') return storage
  const text = storage.replaceAll(/<[^>]*>/g, '') || ' '
  return JSON.stringify({ type: 'doc', version: 1, content: [{ type: 'paragraph', content: [{ type: 'text', text }] }] })
}

/** One space as v2 shows it (atlassian.md 9.2). */
export function viewSpace (call: Call, row: SpaceRow, format: string | null): Record<string, unknown> {
  const author = pick(call.world.users, call.site.seed, 142, row.position).accountId
  const homepage = call.site.pages.at(row.position)
  return {
    id: row.id,
    key: row.key,
    name: row.name,
    type: row.type,
    status: row.status,
    authorId: author,
    spaceOwnerId: author,
    currentActiveAlias: row.key,
    createdAt: new Date(row.created).toISOString(),
    homepageId: homepage?.space === row.position ? homepage.id : null,
    description: format === null ? null : { [format]: { representation: format, value: `What ${row.name} is for` } },
    icon: null,
    _links: { webui: `/spaces/${row.key}` }
  }
}
