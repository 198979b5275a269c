import type { ListingForm } from '../answers/listing.ts'
import type { GatewayCall } from '../state.ts'
import { refusePageToken } from './search.ts'

interface SearchPage {
  issues: unknown[]
  nextPageToken?: string
}

const NAMES_ISSUES = /\b(id|key|issue|issuekey)\s*(=|in\b)/i

/** How a search carries its token: in the query string of a GET, in the body of a POST. */
function createSearchForm(
  read: (call: GatewayCall, name: string) => unknown,
  write: (call: GatewayCall, token: string | undefined) => GatewayCall
): ListingForm {
  return {
    readCursor: (call) => (read(call, 'nextPageToken') as string | null) ?? undefined,
    readSize: (call) => String(read(call, 'maxResults') ?? ''),
    isLookup: (call) => NAMES_ISSUES.test(String(read(call, 'jql'))),
    withCursor: write,
    readNext: ({ body }) => (body as Partial<SearchPage>).nextPageToken,
    withNext: (response, token) => {
      if (response.status !== 200) return response
      const { nextPageToken: _, ...page } = response.body as SearchPage
      const body =
        token === undefined
          ? { ...page, isLast: true }
          : { ...page, nextPageToken: token, isLast: false }
      return { ...response, body }
    },
    emptied: (response) => ({
      ...response,
      body: { ...(response.body as SearchPage), issues: [] },
      coreObjects: 0
    }),
    createCursor: (number) => Buffer.from(`[${number},"fault"]`).toString('base64url'),
    refuseCursor: refusePageToken
  }
}

export const GET_SEARCH = createSearchForm(
  ({ query }, name) => query.get(name),
  (call, token) => {
    const query = new URLSearchParams(call.query)
    query.delete('nextPageToken')
    if (token !== undefined) query.set('nextPageToken', token)
    return { ...call, query }
  }
)

export const POST_SEARCH = createSearchForm(
  ({ body }, name) => (body as Record<string, unknown> | null | undefined)?.[name],
  (call, token) => {
    const { nextPageToken: _, ...members } = call.body as Record<string, unknown>
    return { ...call, body: token === undefined ? members : { ...members, nextPageToken: token } }
  }
)
