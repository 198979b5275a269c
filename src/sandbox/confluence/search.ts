import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseIntegerParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import type { ContainerRow } from '../data/containers.ts'
import type { PageRow } from '../data/pages.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { hash } from '../data/hash.ts'
import { formatIsoDate } from '../query/format-date.ts'
import { QueryError } from '../query/parser.ts'
import { sortValue } from '../data/iteration-order.ts'
import type { ScanPosition } from '../data/iteration-order.ts'
import { isPastRange, findScanStart } from '../data/date-range.ts'
import { paginateRows, applyCorruption } from '../data/corruptions.ts'
import { parseCql, parseFolderSearch } from './cql.ts'
import type { CqlQuery } from './cql.ts'
import { webuiPath } from './view.ts'
import { legacyError } from './errors.ts'

const DEFAULT_PAGE_SIZE = 25
const MAX_PAGE_SIZE = 250
export const CURSOR_PREFIX = '_f_'

/**
 * GET /wiki/rest/api/search?cql= (docs/reference/atlassian.md#94-cql-search), with its
 * peculiarities: `next` without `/wiki`, short pages in the middle, a total that is too high,
 * titles with highlight marks, no archived pages, and an index that lags by up to a minute.
 */
export function searchContent(call: GatewayCall): SandboxResponse {
  const { query } = call
  const text = query.get('cql')
  const requested = parseIntegerParam(query.get('limit'), DEFAULT_PAGE_SIZE)
  if (text === null || text === '') {
    return legacyError(400, 'Could not parse cql : the parameter is missing', true)
  }
  if (!(requested >= 1)) return legacyError(400, 'limit must be a positive number', true)
  const after = decodeSearchCursor(query.get('cursor'))
  if (after === 'bad') return invalidSearchCursor()
  try {
    const page = { text, limit: requested, after }
    const folders = parseFolderSearch(call, text)
    return folders === undefined
      ? runCqlSearch(call, parseCql(call, text), page)
      : searchFolders(call, folders, page)
  } catch (error) {
    if (error instanceof QueryError) return legacyError(400, error.message, true)
    throw error
  }
}

export function invalidSearchCursor(): SandboxResponse {
  return legacyError(400, 'The cursor is not valid', true)
}

interface RequestedPage {
  text: string
  limit: number
  after: ScanPosition | undefined
}

/** Folders, in order of their ids. */
function searchFolders(
  call: GatewayCall,
  folders: ContainerRow[],
  { text, limit, after }: RequestedPage
): SandboxResponse {
  const start = after === undefined ? 0 : after.position + 1
  const size = Math.min(limit, MAX_PAGE_SIZE)
  const page = folders.slice(start, start + size)
  const results = page.map((row) => {
    const space = call.site.spaces.at(row.space)
    const webui = `/spaces/${space?.key ?? ''}/folder/${row.id}`
    return {
      content: {
        id: row.id,
        type: row.type,
        status: 'current',
        title: row.title,
        _links: { webui }
      },
      ...renderHit(space, row.title, webui, row.created),
      excerpt: '',
      iconCssClass: 'aui-icon content-type-folder'
    }
  })
  const hasMore = start + size < folders.length
  return renderResults(call, results, {
    text,
    limit,
    total: folders.length,
    next: hasMore ? encodeSearchCursor({ value: 0, position: start + size - 1 }) : undefined
  })
}

function runCqlSearch(
  call: GatewayCall,
  cql: CqlQuery,
  { text, limit, after }: RequestedPage
): SandboxResponse {
  const { pages } = call.site
  const size = reducePageSize(Math.min(limit, MAX_PAGE_SIZE), after)
  const rows: PageRow[] = []
  for (const row of pages.scan({
    order: cql.order,
    descending: cql.descending,
    after: after ?? findScanStart(cql),
    view: 'index'
  })) {
    if (isPastRange(cql, row)) break
    if (cql.matches(row)) rows.push(row)
    if (rows.length > size) break
  }
  const { page, hasMore } = paginateRows(call, 'pages', rows, size)
  const last = hasMore ? page.at(-1) : undefined
  return renderResults(
    call,
    page.map((row) => renderCqlResult(call, row, cql.searchTerms)),
    {
      text,
      limit,
      total: estimateTotal(call, cql, page.length),
      next:
        last && encodeSearchCursor({ value: sortValue(last, cql.order), position: last.position })
    }
  )
}

function renderResults(
  { site, base }: GatewayCall,
  results: object[],
  {
    text,
    limit,
    total,
    next
  }: { text: string; limit: number; total: number; next: string | undefined }
): SandboxResponse {
  return ok(
    {
      results,
      start: 0,
      limit,
      size: results.length,
      totalSize: total,
      cqlQuery: text,
      searchDuration: 40,
      archivedResultCount: 0,
      _links: {
        base: `${site.url}/wiki`,
        context: '/wiki',
        self: `${base}/wiki/rest/api/search?cql=${encodeURIComponent(text)}`,
        ...(next !== undefined && { next: buildNextUrl(text, limit, next) })
      }
    },
    results.length
  )
}

/** Every other page in the middle has fewer results than the limit. */
function reducePageSize(limit: number, after: ScanPosition | undefined): number {
  const isFull = after === undefined || limit < 3 || hash(0, 150, after.position) % 2 === 0
  return isFull ? limit : limit - 1 - (hash(0, 151, after.position) % Math.ceil(limit / 3))
}

/** Estimates the total; the estimate is never too low. */
function estimateTotal(
  { site: { sizes } }: GatewayCall,
  { searchTerms, from }: CqlQuery,
  resultCount: number
): number {
  return from !== undefined || searchTerms.length > 0
    ? resultCount + Math.ceil(sizes.pages / 10)
    : Math.ceil(sizes.pages * 1.1) + 1
}

/** Keeps the query, the limit and the position, and drops all other parameters. */
export function buildNextUrl(cql: string, limit: number | string, cursor: string): string {
  return `/rest/api/search?next=true&cursor=${cursor}&cql=${encodeURIComponent(cql)}&limit=${limit}`
}

function encodeSearchCursor({ value, position }: ScanPosition): string {
  return CURSOR_PREFIX + Buffer.from(`${value} ${position}`).toString('base64url')
}

function decodeSearchCursor(text: string | null): ScanPosition | undefined | 'bad' {
  if (text === null) return undefined
  const match = text.startsWith(CURSOR_PREFIX)
    ? /^(\d+(?:\.\d+)?) (\d+)$/.exec(
        Buffer.from(text.slice(CURSOR_PREFIX.length), 'base64url').toString()
      )
    : null
  return match === null ? 'bad' : { value: Number(match[1]), position: Number(match[2]) }
}

function renderCqlResult(call: GatewayCall, row: PageRow, words: string[]) {
  const { pages, spaces } = call.site
  const space = spaces.at(row.space)
  const title = pages.title(row)
  const webui = webuiPath(space?.key ?? '', row.id, pages.isHomepage(row) ? undefined : title)
  return {
    content: applyCorruption(call, 'pages', row, {
      id: row.id,
      type: 'page',
      status: row.status,
      title,
      _links: { webui }
    }),
    ...renderHit(space, highlightTitle(title, words), webui, row.modified),
    excerpt:
      call.query.get('excerpt') === 'none'
        ? ''
        : escapeMarkup(pages.storageBody(row).replaceAll(/<[^<>]*>/g, '')),
    iconCssClass: 'aui-icon content-type-page'
  }
}

/** The members that hits of every type have. */
function renderHit(space: SpaceRow | undefined, title: string, webui: string, modified: number) {
  const lastModified = formatIsoDate(modified)
  return {
    title,
    url: webui,
    resultGlobalContainer: { title: space?.name ?? '', displayUrl: `/spaces/${space?.key ?? ''}` },
    breadcrumbs: [],
    entityType: 'content',
    lastModified,
    friendlyLastModified: lastModified.slice(0, 10),
    score: 0
  }
}

/** Escapes the title as HTML and adds highlight marks around the search words. */
function highlightTitle(title: string, words: string[]): string {
  const word = words.find(
    (candidate) => candidate !== '' && title.toLowerCase().includes(candidate.toLowerCase())
  )
  if (word === undefined) return escapeMarkup(title)
  const at = title.toLowerCase().indexOf(word.toLowerCase())
  const end = at + word.length
  const before = escapeMarkup(title.slice(0, at))
  const match = escapeMarkup(title.slice(at, end))
  const after = escapeMarkup(title.slice(end))
  return `${before}@@@hl@@@${match}@@@endhl@@@${after}`
}

function escapeMarkup(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
