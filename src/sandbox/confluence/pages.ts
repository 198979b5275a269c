import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseIntegerParam, parseListParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import { PAGE_STATUSES } from '../data/pages.ts'
import type { PageRow } from '../data/pages.ts'
import { sortValue } from '../data/iteration-order.ts'
import { canSeePage, canSeeSpace } from '../data/visibility.ts'
import { paginateRows, applyCorruption } from '../data/corruptions.ts'
import {
  invalidParameter,
  takeSmallest,
  isResponse,
  MAX_PAGE_SIZE,
  pagedResponse,
  parseCursor,
  parseLimit,
  parseNames
} from './paging.ts'
import type { ConfluenceCursor } from './paging.ts'
import { LIST_FORMATS, PAGE_FORMATS, renderPage } from './view.ts'
import { confluenceError } from './errors.ts'

const SORT_FIELDS = ['id', 'created-date', 'modified-date', 'title']
const MAX_SPACES = 100

interface PageListing {
  limit: number
  cursor: ConfluenceCursor | undefined
  sort: string
  descending: boolean
  /** Positions of the spaces to list; undefined for all spaces. */
  spaces?: number[] | undefined
  matches: (row: PageRow) => boolean
}

/** GET pages (docs/reference/atlassian.md#91-pages). */
export function listPages(call: GatewayCall): SandboxResponse {
  const names = parseNames(call, 'space-id', MAX_SPACES)
  if (isResponse(names)) return names
  const isComplete = !['cursor', 'id', 'title', 'space-id'].some((name) => call.query.has(name))
  if (isComplete) call.site.answers.startListing('pages')
  return renderListing(
    call,
    names.length === 0
      ? undefined
      : names.map((id) => call.site.spaces.findById(id)?.position ?? -1)
  )
}

/** GET spaces/{id}/pages (docs/reference/atlassian.md#91-pages). */
export function listPagesOfSpace(call: GatewayCall): SandboxResponse {
  const [id = ''] = call.params
  const space = call.site.spaces.findById(id)
  if (!canSeeSpace(call, space)) {
    return confluenceError(404, 'NOT_FOUND', `Cannot find a space with id [${id}]`)
  }
  return renderListing(call, [space.position])
}

function renderListing(call: GatewayCall, spaces: number[] | undefined): SandboxResponse {
  const listing = parseListing(call, spaces)
  if (isResponse(listing)) return listing
  const { limit, sort, descending } = listing
  const rows = sort === 'title' ? findByTitle(call, listing) : findInOrder(call, listing)
  const { page, hasMore } = paginateRows(call, 'pages', rows, limit)
  const last = hasMore ? page.at(-1) : undefined
  const format = call.query.get('body-format')
  const cursor =
    last === undefined
      ? undefined
      : {
          id: last.id,
          contentOrder: `${descending ? '-' : ''}${sort}`,
          contentOrderValue: cursorValue(call, last, sort)
        }
  return pagedResponse(
    call,
    page.map((row) => applyCorruption(call, 'pages', row, renderPage(call, row, format))),
    cursor
  )
}

function parseListing(
  call: GatewayCall,
  spaces: number[] | undefined
): PageListing | SandboxResponse {
  const { query } = call
  const [, minus, sort = ''] = /^(-?)(.+)$/.exec(query.get('sort') ?? 'id') ?? []
  if (!SORT_FIELDS.includes(sort)) {
    return invalidParameter(
      'sort',
      `Expected one of ${SORT_FIELDS.join(', ')}, each with or without a minus sign.`
    )
  }
  const limit = parseLimit(call)
  if (isResponse(limit)) return limit
  const cursor = parseCursor(call, `${minus}${sort}`)
  if (isResponse(cursor)) return cursor
  const ids = parseNames(call, 'id', MAX_PAGE_SIZE)
  if (isResponse(ids)) return ids
  const statuses = query.has('status') ? parseListParam(query, 'status') : ['current', 'archived']
  if (statuses.some((status) => !(PAGE_STATUSES as readonly string[]).includes(status))) {
    return invalidParameter('status', `Expected one of ${PAGE_STATUSES.join(', ')}.`)
  }
  const format = query.get('body-format')
  if (format !== null && !(LIST_FORMATS as readonly string[]).includes(format)) {
    return invalidParameter('body-format', `Expected one of ${LIST_FORMATS.join(', ')}.`)
  }
  const title = query.get('title')?.toLowerCase()
  const { pages, answers } = call.site
  const isLookup = ids.length > 0 || title !== undefined
  return {
    limit,
    cursor,
    sort,
    spaces,
    descending: minus === '-',
    matches: (row) =>
      statuses.includes(row.status) &&
      canSeePage(call, row) &&
      (isLookup || !answers.isOmitted('pages', row)) &&
      (spaces === undefined || spaces.includes(row.space)) &&
      (ids.length === 0 || ids.includes(row.id)) &&
      (title === undefined || pages.title(row).toLowerCase() === title)
  }
}

/** Orders by id or date. A page of results costs its length, wherever the scan starts. */
function findInOrder(
  { site: { pages, spaces }, query }: GatewayCall,
  { limit, cursor, sort, descending, spaces: spacePositions, matches }: PageListing
): PageRow[] {
  const order = sort === 'modified-date' ? 'modified' : 'id'
  const position = cursor === undefined ? undefined : pages.findById(cursor.id)?.position
  const after =
    cursor === undefined || position === undefined
      ? undefined
      : { position, value: order === 'id' ? position : Number(cursor.contentOrderValue) }
  const matching: PageRow[] = []
  const ids = parseListParam(query, 'id')
  const residues =
    spacePositions === undefined || spaces.end() === 0
      ? {}
      : {
          residues: {
            modulus: pages.spaceCount,
            classes: [...new Set(spacePositions)].filter((space) => space >= 0)
          }
        }
  const rows =
    ids.length > 0
      ? findByIds(pages.findById, ids)
      : pages.scan({ order, descending, after, ...residues })
  for (const row of rows) {
    if (matches(row)) matching.push(row)
    if (matching.length > limit) break
  }
  return matching
}

function findByIds(byId: (id: string) => PageRow | undefined, ids: string[]): PageRow[] {
  return [...new Set(ids)]
    .map(byId)
    .filter((row) => row !== undefined)
    .sort((a, b) => a.position - b.position)
}

/** Orders by title in one pass over all rows, because titles are not ordered by position. */
function findByTitle(
  { site: { pages } }: GatewayCall,
  { limit, cursor, descending, matches }: PageListing
): PageRow[] {
  const sign = descending ? -1 : 1
  const compare = (
    a: { title: string; position: number },
    b: { title: string; position: number }
  ) => sign * (a.title < b.title ? -1 : a.title > b.title ? 1 : a.position - b.position)
  const lastSeen =
    cursor === undefined
      ? undefined
      : {
          title: String(cursor.contentOrderValue),
          position: pages.findById(cursor.id)?.position ?? 0
        }
  function* candidates() {
    for (const row of pages.scan({ order: 'id' })) {
      const candidate = { row, title: pages.title(row).toLowerCase(), position: row.position }
      if (matches(row) && (lastSeen === undefined || compare(candidate, lastSeen) > 0)) {
        yield candidate
      }
    }
  }
  return takeSmallest(candidates(), limit + 1, compare).map(({ row }) => row)
}

function cursorValue(
  { site: { pages } }: GatewayCall,
  row: PageRow,
  sort: string
): number | string {
  if (sort === 'title') return pages.title(row).toLowerCase()
  return sort === 'modified-date'
    ? sortValue(row, 'modified')
    : sort === 'created-date'
      ? row.created
      : Number(row.id)
}

/**
 * GET pages/{id} (docs/reference/atlassian.md#91-pages). A page in the trash answers 200; a purged
 * one answers like an unknown route. A page read by id has no `subtype`.
 */
export function getPage(call: GatewayCall): SandboxResponse {
  const {
    params: [id = ''],
    query,
    site
  } = call
  const format = query.get('body-format')
  if (!/^\d+$/.test(id)) return invalidParameter('id', 'Expected type is long.')
  if (format !== null && !(PAGE_FORMATS as readonly string[]).includes(format)) {
    return invalidParameter('body-format', `Expected one of ${PAGE_FORMATS.join(', ')}.`)
  }
  const row = site.pages.findById(id)
  if (row?.status === 'deleted') return confluenceError(404, 'NOT_FOUND', 'Not Found')
  const statuses = query.has('status') ? parseListParam(query, 'status') : PAGE_STATUSES
  const version = parseIntegerParam(query.get('version'), row?.version ?? 0)
  if (
    !canSeePage(call, row) ||
    !(statuses as readonly string[]).includes(row.status) ||
    !(version >= 1 && version <= row.version)
  ) {
    return confluenceError(404, 'NOT_FOUND', `Cannot find a page with id [${id}]`)
  }
  const { subtype: _, ...page } = renderPage(
    call,
    { ...row, version },
    format,
    version < row.version
  )
  return ok(
    applyCorruption(call, 'pages', row, {
      ...page,
      _links: { ...(page._links as object), base: `${site.url}/wiki` }
    }),
    1
  )
}
