import { Type } from '@sinclair/typebox'
import { Nullable, Text, Url } from '../../http/schemas.ts'
import type { Items } from '../../model/items.ts'
import { listing, read } from './listing.ts'
import { isRecord, text } from '../../lib/json.ts'
import { plainText } from './plain-text.ts'
import type { Batch, Collection, Reader } from '../provider.ts'
import {
  age,
  chain,
  instant,
  isId,
  isThere,
  judged,
  optional,
  sized,
  tooLong,
  unfit
} from '../paging.ts'

type PageBatch = Batch<Items['pages']>

const PAGE = 250
/** Bodies make pages heavy. */
const PAGE_WITH_BODIES = 50
/** Links as they nearly always are: nothing in them that a URL parser would read as anything but a path. */
const PLAIN = /^\/(?!.*%2e)[\w+%~!*'()/-]{1,1500}$/i
const LONGEST_BODY = 4 * 1024 * 1024

export const pages: Collection<'pages'> = {
  name: 'pages',
  neverEmpty: true,
  posting: {
    body: {
      space_key: Text(255, 'The key of its space', 'ENG'),
      page_id: Text(255, 'The page id', '302737'),
      title: Text(1024, 'The title', 'Runbook'),
      url: Type.Optional(Nullable(Url))
    },
    fromWire: ({ space_key: spaceKey, page_id: pageId, title, url }) => ({
      // Both parts name the row, and neither may run into the other.
      remoteId: JSON.stringify([spaceKey, pageId]),
      item: {
        spaceKey: spaceKey as string,
        pageId: pageId as string,
        title: title as string,
        url: (url as string) ?? null
      }
    })
  },
  row: {
    space_key: Type.String({ example: 'ENG' }),
    page_id: Type.String({ example: '302737' }),
    title: Type.String({ example: 'Runbook' }),
    status: Nullable(
      Type.String({
        description: 'current or archived; null for a page posted by hand',
        example: 'current'
      })
    ),
    url: Nullable(
      Type.String({ example: 'https://acme.atlassian.net/wiki/spaces/ENG/pages/302737/Runbook' })
    )
  },
  toWire: ({ spaceKey, pageId, title, status, url }) => ({
    space_key: spaceKey,
    page_id: pageId,
    title,
    status: status ?? null,
    url
  }),
  sortValue: ({ title }) => title,
  within: { name: 'space', description: 'The key of their space', example: 'ENG' },

  async *list(reader, cursor) {
    const query = { sort: 'id', ...format(reader) }
    for await (const { results, next } of listing(
      reader,
      '/wiki/api/v2/pages',
      query,
      cursor,
      reader.bodies ? PAGE_WITH_BODIES : PAGE
    )) {
      yield { ...(await understood(reader, results)), next }
    }
  },

  /** CQL says what changed, and version 2 what it is now; what is archived is never in CQL (atlassian.md section 9.4). */
  async *changes(reader, since) {
    const page = sized(PAGE)
    let [from, end] = [since, false]
    while (!end) {
      const links = chain(reader, from)
      const cql = `type = page and lastmodified >= now("${age(reader, from)}") order by lastmodified asc`
      let cursor: string | null = null
      do {
        const at: string | null = cursor
        const answer = read(
          await page(
            async (size) =>
              await reader.get('/wiki/rest/api/search', {
                cql,
                limit: String(size),
                excerpt: 'none',
                ...(at === null ? {} : { cursor: at })
              })
          )
        )
        const found = answer.results.filter(isRecord).map(({ content, lastModified }) => ({
          id: optional(content, 'id'),
          changed: instant(lastModified)
        }))
        const known = await reader.stored(
          'pages',
          found.flatMap(({ id }) => id ?? [])
        )
        const news = found.filter(
          ({ id, changed }) =>
            id !== null &&
            (changed === null || Number(known.get(id)?.remote_updated_at ?? -1) < changed.getTime())
        )
        const newest = found.at(-1)?.changed?.getTime() ?? null
        links.read(found.length, newest)
        cursor = answer.next
        end = cursor === null
        yield {
          ...(await fetch(
            reader,
            news.map(({ id }) => id as string)
          )),
          newest
        }
      } while (!end && !links.isOver())
      from = links.at() ?? from
    }
  },

  fetch,
  look: async (reader, id) =>
    isId(id) ? await isThere(async () => await reader.get(`/wiki/api/v2/pages/${id}`)) : undefined
}

async function fetch(reader: Reader, ids: readonly string[]): Promise<PageBatch> {
  const batch: PageBatch = { items: [], failed: [], next: null }
  const size = reader.bodies ? PAGE_WITH_BODIES : PAGE
  const usable = ids.filter(isId)
  for (let i = 0; i < usable.length; i += size) {
    for await (const { results } of listing(
      reader,
      '/wiki/api/v2/pages',
      { id: usable.slice(i, i + size).join(','), sort: 'id', ...format(reader) },
      null,
      size
    )) {
      const { items, failed } = await understood(reader, results)
      batch.items.push(...items)
      batch.failed.push(...failed)
    }
  }
  return batch
}

function format({ bodies }: Reader): Record<string, string> {
  return bodies ? { 'body-format': 'storage' } : {}
}

/** Pages carry only the id of their space (atlassian.md section 9.2); the spaces have been copied before. */
async function understood(reader: Reader, results: unknown[]) {
  const ids = results.flatMap((value) => (isRecord(value) ? (text(value.spaceId) ?? []) : []))
  const spaces = await reader.stored('spaces', [...new Set(ids)])
  return judged(results, (value) =>
    page(value, reader, text(spaces.get(text(value.spaceId) ?? '')?.key))
  )
}

function page(value: Record<string, unknown>, reader: Reader, space: string | null) {
  const pageId = text(value.id)
  const links = isRecord(value._links) ? value._links : {}
  const spaceKey = space ?? keyInLink(text(links.webui))
  if (pageId === null) return unfit(null, 'It has no id.')
  if (spaceKey === null) return unfit(pageId, 'It is in no space that can be seen.')
  const body = reader.bodies && isRecord(value.body) ? optional(value.body.storage, 'value') : null
  const item: Items['pages'] = {
    pageId,
    spaceKey,
    title: text(value.title) ?? '',
    status: text(value.status),
    url: address(reader.site.url, text(links.webui), pageId),
    remoteUpdatedAt: isRecord(value.version) ? instant(value.version.createdAt) : null,
    body,
    bodyText: body === null ? null : plainText(body)
  }
  const problem =
    (body?.length ?? 0) > LONGEST_BODY
      ? `Its body is longer than ${LONGEST_BODY} characters.`
      : tooLong({ title: item.title, 'space key': spaceKey, status: item.status ?? null })
  return problem === undefined ? { remoteId: pageId, item } : unfit(pageId, problem)
}

/** A space that is not listed to this person still stands in the link of its pages (atlassian.md section 9.2). */
function keyInLink(webui: string | null): string | null {
  const [, key] = /^\/spaces\/([^/]+)\//.exec(webui ?? '') ?? []
  return key ?? null
}

/** On the site, whatever the link says: only its path is taken, and only if it is one below the site's wiki. */
function address(site: string, webui: string | null, pageId: string): string {
  const base = `${site}/wiki`
  if (webui !== null && PLAIN.test(webui)) return `${base}${webui}`
  const url = URL.parse(`${base}${webui ?? ''}`)
  const fits =
    webui?.startsWith('/') === true &&
    url?.href.startsWith(`${base}/`) === true &&
    url.href.length <= 2_048
  return fits ? url.href : `${base}/pages/viewpage.action?pageId=${encodeURIComponent(pageId)}`
}
