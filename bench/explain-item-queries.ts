import { BIG_OWNER_ID, NOW_MS } from './explain-fill.ts'
import { HOUR_MS, SMALL_OWNER_ID, type HotQuery } from './explain-query.ts'

const cursorTitle = 'Page 500000 of the handbook'

const listQueries: HotQuery[] = [BIG_OWNER_ID, SMALL_OWNER_ID].flatMap((owner) => {
  const ownerTitle = owner === BIG_OWNER_ID ? 'of the big owner' : 'of a small owner'
  return [
    { name: `pages ${ownerTitle}`, execute: ({ items }) => items('pages').list(owner, 1000) },
    {
      name: `pages ${ownerTitle}, from a cursor`,
      execute: ({ items }) => items('pages').list(owner, 1000, [cursorTitle, 1])
    },
    {
      name: `pages ${ownerTitle}, a rare space`,
      execute: ({ items }) => items('pages').list(owner, 1000, undefined, { parentKey: 'SP999' })
    },
    {
      name: `pages ${ownerTitle}, a rare space, from a cursor`,
      execute: ({ items }) =>
        items('pages').list(owner, 1000, [cursorTitle, 1], { parentKey: 'SP999' })
    },
    {
      name: `pages ${ownerTitle}, a space`,
      execute: ({ items }) => items('pages').list(owner, 1000, undefined, { parentKey: 'SP1' })
    },
    {
      name: `pages ${ownerTitle}, updated_since`,
      execute: ({ items }) =>
        items('pages').list(owner, 1000, undefined, { updatedSince: NOW_MS - HOUR_MS })
    },
    {
      name: `pages ${ownerTitle}, q`,
      execute: ({ items }) => items('pages').list(owner, 1000, undefined, { text: 'no such words' })
    },
    {
      name: `count of pages ${ownerTitle}`,
      execute: ({ items }) => items('pages').count(owner, -1)
    },
    {
      name: `count of pages ${ownerTitle}, a space`,
      execute: ({ items }) => items('pages').count(owner, -1, { parentKey: 'SP1' })
    },
    {
      name: `whole list of pages ${ownerTitle}`,
      execute: async ({ items }) => {
        const snapshot = await items('pages').takeSnapshot(owner, 0)
        await items('pages').readSnapshot(owner, snapshot).next()
      }
    },
    {
      name: `sync state of pages ${ownerTitle}`,
      execute: ({ syncStates }) => syncStates.get(owner, 'confluence', 'pages')
    },
    {
      name: `changes ${ownerTitle}`,
      execute: ({ items }) => items('pages').listChanges(owner, 40, 500)
    },
    {
      name: `sizes of changes ${ownerTitle}`,
      execute: ({ items }) => items('pages').listChangeSizes(owner, 40, 501)
    }
  ] satisfies HotQuery[]
})

const detailQueries: HotQuery[] = [
  {
    name: 'page bodies',
    execute: ({ items }) => items('pages').listSizes(BIG_OWNER_ID, 101, [cursorTitle, 1])
  },
  { name: 'issues', execute: ({ items }) => items('issues').list(BIG_OWNER_ID, 1000) },
  {
    name: 'issues, a rare project',
    execute: ({ items }) =>
      items('issues').list(BIG_OWNER_ID, 1000, undefined, { parentKey: 'PRJ999' })
  },
  {
    name: 'issues, updated_since',
    execute: ({ items }) =>
      items('issues').list(BIG_OWNER_ID, 1000, undefined, { updatedSince: NOW_MS - HOUR_MS })
  },
  {
    name: 'issues, q',
    execute: ({ items }) =>
      items('issues').list(BIG_OWNER_ID, 1000, undefined, { text: 'no such words' })
  },
  { name: 'projects', execute: ({ items }) => items('projects').list(BIG_OWNER_ID, 1000) },
  {
    name: 'projects, one',
    execute: ({ items }) =>
      items('projects').list(BIG_OWNER_ID, 1000, undefined, { parentKey: 'PRJ7' })
  },
  {
    name: 'spaces, from a cursor',
    execute: ({ items }) => items('spaces').list(BIG_OWNER_ID, 1000, ['SP5', 1])
  },
  { name: 'change feed: state', execute: ({ changeFeed }) => changeFeed.getState(BIG_OWNER_ID) },
  {
    name: 'a manually uploaded page',
    execute: ({ items }) =>
      items('pages').save(BIG_OWNER_ID, 'by-hand', {
        spaceKey: 'SP1',
        pageId: 'by-hand',
        title: 'T',
        url: null
      })
  }
]

export const itemQueries: HotQuery[] = [...listQueries, ...detailQueries]
