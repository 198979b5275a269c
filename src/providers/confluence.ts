import { Type } from '@sinclair/typebox'
import { AppError } from '../errors.ts'
import { Nullable, Text, Url } from '../schemas.ts'
import { isRecord, text } from './json.ts'
import type { Collection, Provider, Read } from './provider.ts'

const PAGE = 250

const pages: Collection<'pages'> = {
  name: 'pages',
  body: {
    space_key: Text(255, 'The key of its space', 'ENG'),
    page_id: Text(255, 'The page id', '302737'),
    title: Text(1024, 'The title', 'Runbook'),
    url: Type.Optional(Nullable(Url))
  },
  row: { space_key: Type.String({ example: 'ENG' }), page_id: Type.String({ example: '302737' }), title: Type.String({ example: 'Runbook' }), url: Nullable(Type.String({ example: 'https://acme.atlassian.net/wiki/spaces/ENG/pages/302737/Runbook' })) },
  fromWire: ({ space_key: spaceKey, page_id: pageId, title, url }) => ({
    // Both parts name the row, and neither may run into the other.
    remoteId: JSON.stringify([spaceKey, pageId]),
    item: { spaceKey: spaceKey as string, pageId: pageId as string, title: title as string, url: url as string ?? null }
  }),
  toWire: ({ spaceKey, pageId, title, url }) => ({ space_key: spaceKey, page_id: pageId, title, url }),
  sortValue: ({ title }) => title,
  /** v2 hands out cursors; pages carry only the id of their space (atlassian.md sections 9.1 and 9.2). */
  async * pages (read: Read, site, cursor) {
    const spaceKeys = new Map<string, string>()
    let next = cursor
    do {
      const page = listing(await read('/wiki/api/v2/pages', { limit: String(PAGE), ...(next === null ? {} : { cursor: next }) }))
      await learnSpaces(read, spaceKeys, page.results)
      if (page.next !== null && page.next === next) throw new AppError('upstream_invalid_answer', 'Confluence repeats a page of its listing.')
      next = page.next
      const items = page.results.flatMap((value) => {
        const pageId = text(value.id)
        const spaceKey = spaceKeys.get(text(value.spaceId) ?? '') ?? keyInLink(value)
        if (pageId === null || spaceKey === undefined) return []
        return [{ remoteId: pageId, item: { pageId, spaceKey, title: text(value.title) ?? '', url: url(site.url, value) } }]
      })
      yield { items, next }
    } while (next !== null)
  }
}

/** Fetches the keys of the spaces that were not met before, all of them in one call. */
async function learnSpaces (read: Read, known: Map<string, string>, results: Array<Record<string, unknown>>): Promise<void> {
  const ids = [...new Set(results.map(({ spaceId }) => text(spaceId) ?? ''))].filter((id) => id !== '' && !known.has(id))
  if (ids.length === 0) return
  const spaces = listing(await read('/wiki/api/v2/spaces', { ids: ids.join(','), limit: String(PAGE) }))
  for (const { id, key } of spaces.results) known.set(text(id) ?? '', text(key) ?? '')
}

function listing (answer: unknown): { results: Array<Record<string, unknown>>, next: string | null } {
  if (!isRecord(answer) || !Array.isArray(answer.results)) throw new AppError('upstream_invalid_answer', 'Confluence listed something in a form this service does not know.')
  const link = isRecord(answer._links) ? text(answer._links.next) : null
  // The cursor is one parameter of a relative link, at no fixed place in it.
  const next = link === null ? null : URL.parse(link, 'https://site.invalid')?.searchParams.get('cursor') ?? null
  return { results: answer.results.filter(isRecord), next }
}

/** A space that is not listed to this person still stands in the link of its pages (atlassian.md section 9.2). */
function keyInLink ({ _links: links }: Record<string, unknown>): string | undefined {
  const [, key] = /^\/spaces\/([^/]+)\//.exec(isRecord(links) ? text(links.webui) ?? '' : '') ?? []
  return key
}

function url (site: string, page: Record<string, unknown>): string {
  const webui = isRecord(page._links) ? text(page._links.webui) : null
  return `${site}/wiki${webui ?? `/pages/viewpage.action?pageId=${encodeURIComponent(text(page.id) ?? '')}`}`
}

/** Pages name their space by an id, and the key is known to the spaces. v2 has no classic scopes (atlassian.md section 0, fact 8). */
const features: Provider['features'] = [
  { name: 'spaces', scopes: [['read:space:confluence']] },
  { name: 'pages', copies: 'pages', scopes: [['read:page:confluence', 'read:space:confluence']] },
  { name: 'incremental_pages', scopes: [['search:confluence'], ['read:content-details:confluence']] },
  { name: 'identity', scopes: [['read:me']] }
]

export const confluence: Provider = {
  id: 'confluence',
  title: 'Confluence',
  scopes: ['read:space:confluence', 'read:page:confluence', 'search:confluence', 'read:me', 'offline_access'],
  features,
  ownsScope: (scope) => /confluence/.test(scope),
  basePath: '/wiki',
  returnPath: '/oauth/callback',
  returnQuery: { provider: 'confluence' },
  collections: [pages]
}
