import { confluenceError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { list } from '../gateway/call.ts'
import type { Call } from '../gateway/call.ts'
import { PAGE_STATUSES } from '../data/pages.ts'
import type { PageRow } from '../data/pages.ts'
import { valueOf } from '../data/iteration-order.ts'
import { seesPage, seesSpace } from '../data/visibility.ts'
import { filled, shown } from '../admin/corrupt-items.ts'
import {
  badParameter,
  firstOf,
  isAnswer,
  LARGEST_PAGE,
  paged,
  readCursor,
  readLimit,
  readNames
} from './paging.ts'
import type { Cursor } from './paging.ts'
import { LIST_FORMATS, PAGE_FORMATS, viewPage } from './view.ts'

const SORTS = ['id', 'created-date', 'modified-date', 'title']
const MOST_SPACES = 100

interface Listing {
  limit: number
  cursor: Cursor | undefined
  sort: string
  descending: boolean
  /** Positions of the spaces to look in; undefined for all. */
  spaces?: number[]
  fits: (row: PageRow) => boolean
}

/** GET pages (atlassian.md 9.1). */
export function listPages(call: Call): Answer {
  const names = readNames(call, 'space-id', MOST_SPACES)
  if (isAnswer(names)) return names
  return listIn(
    call,
    names.length === 0 ? undefined : names.map((id) => call.site.spaces.byId(id)?.position ?? -1)
  )
}

/** GET spaces/{id}/pages; `depth=root` leaves the homepage alone. */
export function listPagesOfSpace(call: Call): Answer {
  const space = call.site.spaces.byId(call.params[0])
  if (!seesSpace(call, space)) {
    return confluenceError(404, 'NOT_FOUND', `Cannot find a space with id [${call.params[0]}]`)
  }
  return listIn(call, [space.position])
}

function listIn(call: Call, spaces: number[] | undefined): Answer {
  const listing = readListing(call, spaces)
  if (isAnswer(listing)) return listing
  const { limit, sort, descending } = listing
  const found = sort === 'title' ? byTitle(call, listing) : inOrder(call, listing)
  const { page, more } = filled(call, 'pages', found, limit)
  const last = more ? page.at(-1) : undefined
  const format = call.query.get('body-format')
  const cursor =
    last === undefined
      ? undefined
      : {
          id: last.id,
          contentOrder: `${descending ? '-' : ''}${sort}`,
          contentOrderValue: orderValue(call, last, sort)
        }
  return paged(
    call,
    page.map((row) => shown(call, 'pages', row, viewPage(call, row, format))),
    cursor
  )
}

function readListing(call: Call, spaces: number[] | undefined): Listing | Answer {
  const { query } = call
  const [, minus, sort] = /^(-?)(.+)$/.exec(query.get('sort') ?? 'id') ?? []
  if (!SORTS.includes(sort)) {
    return badParameter(
      'sort',
      `Expected one of ${SORTS.join(', ')}, each with or without a minus sign.`
    )
  }
  const limit = readLimit(call)
  if (isAnswer(limit)) return limit
  const cursor = readCursor(call, `${minus}${sort}`)
  if (isAnswer(cursor)) return cursor
  const ids = readNames(call, 'id', LARGEST_PAGE)
  if (isAnswer(ids)) return ids
  const statuses = query.has('status') ? list(query, 'status') : ['current', 'archived']
  if (statuses.some((status) => !(PAGE_STATUSES as readonly string[]).includes(status))) {
    return badParameter('status', `Expected one of ${PAGE_STATUSES.join(', ')}.`)
  }
  const format = query.get('body-format')
  if (format !== null && !(LIST_FORMATS as readonly string[]).includes(format)) {
    return badParameter('body-format', `Expected one of ${LIST_FORMATS.join(', ')}.`)
  }
  const title = query.get('title')?.toLowerCase()
  const { pages } = call.site
  return {
    limit,
    cursor,
    sort,
    spaces,
    descending: minus === '-',
    fits: (row) =>
      statuses.includes(row.status) &&
      seesPage(call, row) &&
      (spaces === undefined || spaces.includes(row.space)) &&
      (ids.length === 0 || ids.includes(row.id)) &&
      (title === undefined || pages.title(row).toLowerCase() === title)
  }
}

/** By id or date: each page costs no more than its length, wherever in the list it is. */
function inOrder(
  { site: { pages, spaces }, query }: Call,
  { limit, cursor, sort, descending, spaces: within, fits }: Listing
): PageRow[] {
  const order = sort === 'modified-date' ? 'modified' : 'id'
  const position = cursor === undefined ? undefined : pages.byId(cursor.id)?.position
  const after =
    cursor === undefined || position === undefined
      ? undefined
      : { position, value: order === 'id' ? position : Number(cursor.contentOrderValue) }
  const found: PageRow[] = []
  const ids = list(query, 'id')
  const residues =
    within === undefined || spaces.end() === 0
      ? {}
      : {
          residues: { of: pages.spaces, among: [...new Set(within)].filter((space) => space >= 0) }
        }
  const rows =
    ids.length > 0 ? named(pages.byId, ids) : pages.walk({ order, descending, after, ...residues })
  for (const row of rows) {
    if (fits(row)) found.push(row)
    if (found.length > limit) break
  }
  return found
}

function named(byId: (id: string) => PageRow | undefined, ids: string[]): PageRow[] {
  return [...new Set(ids)]
    .map(byId)
    .filter((row) => row !== undefined)
    .sort((a, b) => a.position - b.position)
}

/** By title: one pass over everything, since titles follow no formula. */
function byTitle(
  { site: { pages } }: Call,
  { limit, cursor, descending, fits }: Listing
): PageRow[] {
  const sign = descending ? -1 : 1
  const compare = (
    a: { title: string; position: number },
    b: { title: string; position: number }
  ) => sign * (a.title < b.title ? -1 : a.title > b.title ? 1 : a.position - b.position)
  const mark =
    cursor === undefined
      ? undefined
      : { title: String(cursor.contentOrderValue), position: pages.byId(cursor.id)?.position ?? 0 }
  function* candidates() {
    for (const row of pages.walk({ order: 'id' })) {
      const candidate = { row, title: pages.title(row).toLowerCase(), position: row.position }
      if (fits(row) && (mark === undefined || compare(candidate, mark) > 0)) yield candidate
    }
  }
  return firstOf(candidates(), limit + 1, compare).map(({ row }) => row)
}

function orderValue({ site: { pages } }: Call, row: PageRow, sort: string): number | string {
  if (sort === 'title') return pages.title(row).toLowerCase()
  return sort === 'modified-date'
    ? valueOf(row, 'modified')
    : sort === 'created-date'
      ? row.created
      : Number(row.id)
}

/** GET pages/{id}. What is in the trash is only shown to those who ask for its status. */
export function getPage(call: Call): Answer {
  const {
    params: [id],
    query,
    site
  } = call
  const statuses = query.has('status') ? list(query, 'status') : ['current', 'archived']
  const format = query.get('body-format')
  if (!/^\d+$/.test(id)) return badParameter('id', 'Expected type is long.')
  if (format !== null && !(PAGE_FORMATS as readonly string[]).includes(format)) {
    return badParameter('body-format', `Expected one of ${PAGE_FORMATS.join(', ')}.`)
  }
  const row = site.pages.byId(id)
  if (!seesPage(call, row) || row.status === 'deleted' || !statuses.includes(row.status)) {
    return confluenceError(404, 'NOT_FOUND', `Cannot find a page with id [${id}]`)
  }
  const page = viewPage(call, row, format)
  return ok(
    shown(call, 'pages', row, {
      ...page,
      _links: { ...(page._links as object), base: `${site.url}/wiki` }
    }),
    1
  )
}
