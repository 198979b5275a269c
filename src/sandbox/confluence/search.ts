import { legacyError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { whole } from '../gateway/call.ts'
import type { Call } from '../gateway/call.ts'
import type { PageRow } from '../data/pages.ts'
import { hash } from '../data/hash.ts'
import { isoInstant } from '../query/format-date.ts'
import { QueryError } from '../query/parser.ts'
import { valueOf } from '../data/iteration-order.ts'
import type { Mark } from '../data/iteration-order.ts'
import { isPast, startOf } from '../data/date-range.ts'
import { filled, shown } from '../admin/corrupt-items.ts'
import { readCql } from './cql.ts'
import type { Cql } from './cql.ts'
import { webuiOf } from './view.ts'

const DEFAULT_PAGE = 25
const LARGEST_PAGE = 250
const CURSOR_MARK = '_f_'

/**
 * GET /wiki/rest/api/search?cql= (atlassian.md 9.4), with its ways: `next` without `/wiki`, short pages in the middle, a total
 * that is too high, titles with highlight marks, nothing archived, and an index up to a minute behind.
 */
export function searchContent(call: Call): Answer {
  const { query } = call
  const text = query.get('cql')
  const asked = whole(query.get('limit'), DEFAULT_PAGE)
  if (text === null || text === '') {
    return legacyError(400, 'Could not parse cql : the parameter is missing', true)
  }
  if (!(asked >= 1)) return legacyError(400, 'limit must be a positive number', true)
  const after = readCursor(query.get('cursor'))
  if (after === 'bad') return legacyError(400, 'The cursor is not valid', true)
  try {
    return answer(call, readCql(call, text), { text, limit: Math.min(asked, LARGEST_PAGE), after })
  } catch (error) {
    if (error instanceof QueryError) return legacyError(400, error.message, true)
    throw error
  }
}

function answer(
  call: Call,
  cql: Cql,
  { text, limit, after }: { text: string; limit: number; after: Mark | undefined }
): Answer {
  const { pages } = call.site
  const size = shortened(limit, after)
  const rows: PageRow[] = []
  for (const row of pages.walk({
    order: cql.order,
    descending: cql.descending,
    after: after ?? startOf(cql),
    view: 'index'
  })) {
    if (isPast(cql, row)) break
    if (cql.fits(row)) rows.push(row)
    if (rows.length > size) break
  }
  const { page, more } = filled(call, 'pages', rows, size)
  const last = more ? page.at(-1) : undefined
  return ok(
    {
      results: page.map((row) => viewResult(call, row, cql.words)),
      start: 0,
      limit,
      size: page.length,
      totalSize: estimate(call, cql, page.length),
      cqlQuery: text,
      searchDuration: 40,
      archivedResultCount: 0,
      _links: {
        base: `${call.site.url}/wiki`,
        context: '/wiki',
        self: `${call.base}/wiki/rest/api/search?cql=${encodeURIComponent(text)}`,
        ...(last !== undefined && {
          next: next(text, limit, { value: valueOf(last, cql.order), position: last.position })
        })
      }
    },
    page.length
  )
}

/** Every other page in the middle comes a few results short. */
function shortened(limit: number, after: Mark | undefined): number {
  const full = after === undefined || limit < 3 || hash(0, 150, after.position) % 2 === 0
  return full ? limit : limit - 1 - (hash(0, 151, after.position) % Math.ceil(limit / 3))
}

/** A guess, always on the high side. */
function estimate({ site: { sizes } }: Call, { words, from }: Cql, shown: number): number {
  return from !== undefined || words.length > 0
    ? shown + Math.ceil(sizes.pages / 10)
    : Math.ceil(sizes.pages * 1.1) + 1
}

/** Keeps the query, the limit and the place, and drops everything else. */
function next(cql: string, limit: number, { value, position }: Mark): string {
  const cursor = CURSOR_MARK + Buffer.from(`${value} ${position}`).toString('base64url')
  return `/rest/api/search?next=true&cursor=${cursor}&cql=${encodeURIComponent(cql)}&limit=${limit}`
}

function readCursor(text: string | null): Mark | undefined | 'bad' {
  if (text === null) return undefined
  const match = text.startsWith(CURSOR_MARK)
    ? /^(\d+(?:\.\d+)?) (\d+)$/.exec(
        Buffer.from(text.slice(CURSOR_MARK.length), 'base64url').toString()
      )
    : null
  return match === null ? 'bad' : { value: Number(match[1]), position: Number(match[2]) }
}

function viewResult(call: Call, row: PageRow, words: string[]) {
  const { pages, spaces } = call.site
  const space = spaces.at(row.space)
  const title = pages.title(row)
  const webui = webuiOf(
    space?.key ?? '',
    row.id,
    pages.parent(row) === undefined ? undefined : title
  )
  const lastModified = isoInstant(row.modified)
  return {
    content: shown(call, 'pages', row, {
      id: row.id,
      type: 'page',
      status: row.status,
      title,
      _links: { webui }
    }),
    title: highlighted(title, words),
    excerpt:
      call.query.get('excerpt') === 'none'
        ? ''
        : escaped(pages.storage(row).replaceAll(/<[^<>]*>/g, '')),
    url: webui,
    resultGlobalContainer: { title: space?.name ?? '', displayUrl: `/spaces/${space?.key ?? ''}` },
    breadcrumbs: [],
    entityType: 'content',
    iconCssClass: 'aui-icon content-type-page',
    lastModified,
    friendlyLastModified: lastModified.slice(0, 10),
    score: 0
  }
}

/** HTML-escaped, with marks around what was searched for. */
function highlighted(title: string, words: string[]): string {
  const word = words.find(
    (candidate) => candidate !== '' && title.toLowerCase().includes(candidate.toLowerCase())
  )
  if (word === undefined) return escaped(title)
  const at = title.toLowerCase().indexOf(word.toLowerCase())
  const end = at + word.length
  return `${escaped(title.slice(0, at))}@@@hl@@@${escaped(title.slice(at, end))}@@@endhl@@@${escaped(title.slice(end))}`
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
