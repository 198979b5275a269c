import { Type } from '@sinclair/typebox'
import { Key, Nullable, Text, Url } from '../../lib/typebox.ts'
import type { Collection } from '../provider.ts'
import { pageTable } from './page-item.ts'
import { fetchPages, listChangedPages, listPages, lookUpPages } from './page-listing.ts'

/** The connection option that copies the bodies of pages. */
export const PAGE_BODIES = 'page_bodies'

export const pages: Collection<typeof pageTable> = {
  name: 'pages',
  table: pageTable,
  body: {
    option: PAGE_BODIES,
    responseSchema: Type.Object(
      {
        storage: Type.String({
          description: "Confluence's storage format",
          example: '<p>Restart the worker.</p>'
        }),
        text: Type.String({
          description: 'Plain text, one line per block',
          example: 'Restart the worker.'
        })
      },
      {
        title: 'PageBody',
        description: 'Null where the connection does not copy bodies, or the page has none'
      }
    ),
    toResponse: ({ body, bodyText }) =>
      typeof body === 'string' ? { storage: body, text: bodyText ?? '' } : null
  },
  isNeverEmpty: true,
  manualUpload: {
    body: {
      space_key: Key(64, 'The key of its space', 'ENG'),
      page_id: Key(128, 'The page id', '302737'),
      title: Text(1024, 'The title', 'Runbook'),
      url: Type.Optional(Nullable(Url))
    },
    fromRequest: ({ space_key: spaceKey, page_id: pageId, title, url }) => ({
      // JSON keeps the two parts of the natural key apart, whatever they contain.
      remoteId: JSON.stringify([spaceKey, pageId]),
      item: {
        spaceKey: spaceKey as string,
        pageId: pageId as string,
        title: title as string,
        url: (url as string) ?? null
      }
    })
  },
  responseFields: {
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
  toResponse: ({ spaceKey, pageId, title, status, url }) => ({
    space_key: spaceKey,
    page_id: pageId,
    title,
    status: status ?? null,
    url
  }),
  parent: { collection: 'spaces', column: 'spaceKey', parentColumn: 'key' },
  parentFilter: { description: 'The key of their space', example: 'ENG' },

  list: listPages,
  listChanges: listChangedPages,
  fetch: fetchPages,
  lookUp: lookUpPages
}
