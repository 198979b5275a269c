import type { ListingForm } from '../answers/listing.ts'
import type { GatewayCall } from '../state.ts'
import { DEFAULT_PAGE_SIZE, invalidCursor, renderResultPage } from './paging.ts'
import { buildNextUrl, CURSOR_PREFIX, invalidSearchCursor } from './search.ts'

interface ResultPage {
  results: unknown[]
  size?: number
  limit?: number
  _links: Record<string, string>
}

const readQueryCursor = ({ query }: GatewayCall) => query.get('cursor') ?? undefined

function withQueryCursor(call: GatewayCall, cursor: string | undefined): GatewayCall {
  const query = new URLSearchParams(call.query)
  query.delete('cursor')
  if (cursor !== undefined) query.set('cursor', cursor)
  return { ...call, query }
}

function readNextCursor(body: unknown): string | undefined {
  const { next } = (body as Partial<ResultPage>)._links ?? {}
  return new URLSearchParams(next?.split('?')[1]).get('cursor') ?? undefined
}

/** The lists of v2: pages and spaces. */
export const V2_LISTING: ListingForm = {
  readCursor: readQueryCursor,
  readSize: ({ query }) => query.get('limit') ?? String(DEFAULT_PAGE_SIZE),
  isLookup: ({ query }) => ['id', 'ids', 'keys', 'title'].some((name) => query.has(name)),
  withCursor: withQueryCursor,
  readNext: ({ body }) => readNextCursor(body),
  withNext: (response, cursor, call) =>
    response.status === 200
      ? renderResultPage(call, (response.body as ResultPage).results, cursor)
      : response,
  emptied: (response) => ({
    ...response,
    body: { ...(response.body as ResultPage), results: [] },
    coreObjects: 0
  }),
  createCursor: (number) =>
    Buffer.from(
      JSON.stringify({ id: String(number), contentOrder: 'id', contentOrderValue: -number })
    ).toString('base64'),
  refuseCursor: invalidCursor
}

/** The CQL search of v1. */
export const CQL_LISTING: ListingForm = {
  readCursor: readQueryCursor,
  readSize: ({ query }) => query.get('limit') ?? String(DEFAULT_PAGE_SIZE),
  isLookup: ({ query }) => /\b(id|content)\s*(=|in\b)/i.test(query.get('cql') ?? ''),
  withCursor: withQueryCursor,
  readNext: ({ body }) => readNextCursor(body),
  withNext: (response, cursor, { query }) => {
    if (response.status !== 200) return response
    const page = response.body as ResultPage
    const { next: _, ...links } = page._links
    const next =
      cursor === undefined
        ? {}
        : { next: buildNextUrl(query.get('cql') ?? '', page.limit ?? DEFAULT_PAGE_SIZE, cursor) }
    return { ...response, body: { ...page, _links: { ...links, ...next } } }
  },
  emptied: (response) => ({
    ...response,
    body: { ...(response.body as ResultPage), results: [], size: 0 },
    coreObjects: 0
  }),
  createCursor: (number) => CURSOR_PREFIX + Buffer.from(`fault ${number}`).toString('base64url'),
  refuseCursor: invalidSearchCursor
}
