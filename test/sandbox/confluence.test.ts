import t from 'tap'
import { ACME, createCallers, getWithToken, signIn, startSandbox } from './helper.ts'

async function start(
  t: Parameters<typeof startSandbox>[0],
  options: Parameters<typeof startSandbox>[1] = {}
) {
  const sandbox = await startSandbox(t, options)
  const { access_token: token } = await signIn(sandbox.url)
  const { wiki } = createCallers(sandbox.url, token)
  /** Follows `next` from the body as v2 requires: appended to the gateway base. */
  const listAll = async (path: string) => {
    const items: any[] = []
    for (let next: string | undefined = `/wiki${path}`; next !== undefined;) {
      const { body } = await getWithToken(`${sandbox.url}/ex/confluence/${ACME}${next}`, token)
      items.push(...body.results)
      next = body._links.next
    }
    return items
  }
  return { ...sandbox, token, wiki, listAll }
}

const ids = (pages: { id: string }[]) => pages.map(({ id }) => id)

t.test(
  'v2 names the next page by a cursor in body and Link header, below /wiki, except on the last page',
  async (t) => {
    const { wiki, listAll } = await start(t)
    const { body, headers } = await wiki('/api/v2/pages?limit=25')
    t.match(body._links.next, /^\/wiki\/api\/v2\/pages\?limit=25&cursor=/)
    t.equal(body._links.base, 'https://acme.atlassian.net/wiki')
    t.match(
      headers.get('link'),
      new RegExp(
        String.raw`^</wiki/api/v2/pages\?cursor=[^>]+&limit=25>; rel="next", ` +
          '<https://acme.atlassian.net/wiki>; rel="base"$'
      )
    )
    const cursor = new URLSearchParams(body._links.next.split('?')[1]).get('cursor') ?? ''
    t.match(JSON.parse(Buffer.from(cursor, 'base64').toString()), {
      id: /^\d+$/,
      contentOrder: 'id',
      contentOrderValue: Number
    })
    const found = await listAll('/api/v2/pages?limit=7')
    t.equal(new Set(ids(found)).size, 60)
    t.strictSame(
      ids(found),
      ids(found).sort((a, b) => Number(a) - Number(b))
    )
    t.strictSame(found[0].body, {})
  }
)

t.test(
  'v2 rejects an invalid cursor, a cursor of another sort order and an invalid limit',
  async (t) => {
    const { wiki } = await start(t)
    const invalidCursor = {
      status: 400,
      body: {
        errors: [
          {
            status: 400,
            code: 'INVALID_REQUEST_PARAMETER',
            title: /Provided value for 'cursor' is not the correct type. Expected type is Cursor./
          }
        ]
      }
    }
    t.match(await wiki('/api/v2/pages?cursor=nonsense'), invalidCursor)
    t.match(await wiki('/api/v2/spaces?cursor=e30='), invalidCursor)
    const { body } = await wiki('/api/v2/pages?limit=1')
    t.match(
      await wiki(`${body._links.next.replace('/wiki', '')}&sort=-modified-date`),
      invalidCursor
    )
    for (const limit of ['0', '251', 'x', '-1']) {
      t.equal((await wiki(`/api/v2/pages?limit=${limit}`)).status, 400, limit)
    }
    t.equal((await wiki('/api/v2/pages?status=draft')).status, 400)
    t.equal((await wiki('/api/v2/pages?sort=colour')).status, 400)
  }
)

for (const sort of [
  'id',
  '-id',
  'modified-date',
  '-modified-date',
  'created-date',
  'title',
  '-title'
]) {
  t.test(`pages sorted by ${sort} are complete and ordered, changed pages included`, async (t) => {
    const { listAll, admin } = await start(t)
    const [first, second] = await listAll('/api/v2/pages')
    await admin(`pages/${first.id}`, { title: 'zz last' })
    await admin(`pages/${second.id}`, { title: 'aa first' })
    const found = await listAll(`/api/v2/pages?limit=4&sort=${sort}`)
    t.equal(new Set(ids(found)).size, 60)
    const values = found.map(
      ({ id, title, createdAt, version }) =>
        ({
          id: Number(id),
          title: title.toLowerCase(),
          created: createdAt,
          modified: version.createdAt
        })[sort.replace('-', '').replace('-date', '')]
    )
    const sorted = [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    t.strictSame(values, sort.startsWith('-') ? sorted.reverse() : sorted)
  })
}

t.test('pages can be filtered by space, id and title, and listed per space', async (t) => {
  const { listAll, wiki, admin } = await start(t)
  const [space, other] = await listAll('/api/v2/spaces')
  const inSpace = await listAll(`/api/v2/pages?space-id=${space.id}&limit=4`)
  t.equal(inSpace.length, 15)
  t.strictSame(ids(await listAll(`/api/v2/spaces/${space.id}/pages?limit=6`)), ids(inSpace))
  t.equal((await listAll(`/api/v2/pages?space-id=${space.id},${other.id}&limit=6`)).length, 30)
  await admin(`pages/${inSpace[3].id}`, { space_id: other.id })
  t.equal((await listAll(`/api/v2/pages?space-id=${space.id}&limit=4`)).length, 14)
  const moved = await listAll(`/api/v2/pages?space-id=${other.id}&limit=4`)
  t.equal(moved.length, 16)
  t.strictSame(
    ids(moved),
    ids(moved).sort((a, b) => Number(a) - Number(b))
  )
  t.strictSame(
    ids(await listAll(`/api/v2/pages?id=${inSpace[1].id},${inSpace[2].id}`)),
    ids(inSpace.slice(1, 3))
  )
  const plain = inSpace.find(({ title }) => /^[\w ]+$/.test(title))
  t.strictSame(
    ids(await listAll(`/api/v2/pages?title=${encodeURIComponent(plain.title.toUpperCase())}`)),
    [plain.id]
  )
  t.match(await wiki('/api/v2/spaces/999/pages'), {
    status: 404,
    body: { errors: [{ title: 'Cannot find a space with id [999]' }] }
  })
})

t.test(
  'a page has its body in the requested format, links below /wiki, and a parent',
  async (t) => {
    const { wiki, listAll } = await start(t)
    const pages = await listAll('/api/v2/pages')
    t.match(pages[0]._links.webui, /^\/spaces\/[^/]+\/overview$/)
    const page = pages[20]
    t.ok(page.parentId)
    const { body } = await wiki(`/api/v2/pages/${page.id}?body-format=storage`)
    t.match(body, {
      id: page.id,
      body: { storage: { representation: 'storage', value: /<p>/ } },
      _links: { base: 'https://acme.atlassian.net/wiki', webui: new RegExp(`/pages/${page.id}/`) }
    })
    const adf = (await wiki(`/api/v2/pages/${page.id}?body-format=atlas_doc_format`)).body.body
      .atlas_doc_format.value
    t.match(JSON.parse(adf), { type: 'doc' })
    t.match(await wiki('/api/v2/pages/999'), {
      status: 404,
      body: {
        errors: [{ status: 404, code: 'NOT_FOUND', title: 'Cannot find a page with id [999]' }]
      }
    })
  }
)

t.test('titles contain realistic characters, and some spaces are personal', async (t) => {
  const { listAll } = await start(t, { sizes: { pages: 250, spaces: 10 } })
  const titles = (await listAll('/api/v2/pages?limit=250')).map(({ title }) => title).join('\n')
  for (const part of ['🚀', 'مرحبا', 'e\u0301', '<b>', '"double"', '設計']) {
    t.ok(titles.includes(part), part)
  }
  const spaces = await listAll('/api/v2/spaces')
  t.ok(spaces.some(({ key, type }) => key.startsWith('~') && type === 'personal'))
  t.strictSame(
    (await listAll('/api/v2/spaces?keys=eng')).map(({ key }) => key),
    ['ENG']
  )
  t.equal((await listAll(`/api/v2/spaces?ids=${spaces[0].id},${spaces[1].id}`)).length, 2)
})

t.test('a page can be archived, trashed, restored, purged and created', async (t) => {
  const { wiki, listAll, admin } = await start(t)
  const [page, other] = (await listAll('/api/v2/pages?status=current')).slice(20)
  const count = async (params = '') => (await listAll(`/api/v2/pages?limit=250${params}`)).length
  await admin(`pages/${page.id}`, { status: 'archived' })
  t.equal(await count(), 60, 'archived pages are listed')
  t.ok(ids(await listAll('/api/v2/pages?status=archived')).includes(page.id))
  await admin(`pages/${page.id}`, { status: 'trashed' })
  t.equal(await count(), 59)
  t.equal(await count('&status=trashed'), 1)
  t.match(await wiki(`/api/v2/pages/${page.id}`), {
    status: 200,
    body: { status: 'trashed', parentId: null, parentType: null, position: null }
  })
  t.equal((await wiki(`/api/v2/pages/${page.id}?status=current`)).status, 404)
  await admin(`pages/${page.id}`, { status: 'current' })
  t.match((await wiki(`/api/v2/pages/${page.id}`)).body, {
    version: { number: page.version.number + 3 }
  })
  await admin(`pages/${other.id}`, { status: 'deleted' })
  t.match(await wiki(`/api/v2/pages/${other.id}`), {
    status: 404,
    body: { errors: [{ title: 'Not Found' }] }
  })
  const created = await admin('pages', {
    space_id: page.spaceId,
    title: 'Brand new',
    body: '<p>hello</p>'
  })
  t.match((await wiki(`/api/v2/pages/${created.id}?body-format=storage`)).body, {
    title: 'Brand new',
    version: { number: 1 },
    body: { storage: { value: '<p>hello</p>' } }
  })
  t.equal((await listAll('/api/v2/pages')).at(-1).id, created.id)
})

t.test(
  'CQL omits /wiki in next, serves short pages, overstates totals and omits archived pages',
  async (t) => {
    const { url, token, wiki, listAll } = await start(t, { sizes: { pages: 400 } })
    const cql = 'type = page order by lastmodified'
    const current = ids(await listAll('/api/v2/pages?status=current&limit=250'))
    const found: any[] = []
    let short = 0
    let next: string | undefined =
      `/rest/api/search?cql=${encodeURIComponent(cql)}&limit=25&excerpt=none`
    while (next !== undefined) {
      const { body } = await getWithToken(`${url}/ex/confluence/${ACME}/wiki${next}`, token)
      found.push(...body.results)
      next = body._links.next
      if (next !== undefined && body.size < body.limit) short++
      t.ok(body.totalSize > current.length)
      t.notMatch(next ?? '', /^\/wiki|excerpt/)
    }
    t.ok(short > 0)
    t.strictSame(found.map(({ content }) => content.id).sort(), current.sort())
    t.ok(found.every(({ score, content }) => score === 0 && content.status === 'current'))
    const dates = found.map(({ lastModified }) => lastModified)
    t.strictSame(dates, [...dates].sort())
    t.strictSame(
      (await wiki(`/rest/api/search?cql=${encodeURIComponent('space = NOPE and type = page')}`))
        .body.results,
      []
    )
  }
)

t.test('CQL highlights and escapes matches, and rejects unknown syntax', async (t) => {
  const { wiki, listAll, admin } = await start(t)
  const [page] = (await listAll('/api/v2/pages')).slice(30)
  await admin(`pages/${page.id}`, { title: 'Tom & "Jerry" <needle>' })
  await admin('clock', { advance_ms: 60_000 })
  const search = (cql: string) => wiki(`/rest/api/search?cql=${encodeURIComponent(cql)}`)
  t.match((await search('title ~ "needle"')).body.results, [
    {
      content: { title: 'Tom & "Jerry" <needle>' },
      title: 'Tom &amp; &quot;Jerry&quot; &lt;@@@hl@@@needle@@@endhl@@@&gt;'
    }
  ])
  t.match((await search('title = "Tom & \\"Jerry\\" <needle>"')).body.results, [
    { content: { id: page.id } }
  ])
  for (const cql of [
    '',
    'status = archived',
    'type = page or type = blogpost',
    'type = ',
    'order by lastmodified'
  ]) {
    t.match(await search(cql), { status: 400, body: { statusCode: 400, message: /./ } }, cql)
  }
  t.equal((await wiki('/rest/api/search?cql=type=page&cursor=nonsense')).status, 400)
})

t.test('CQL finds a change after up to a minute, v2 at once', async (t) => {
  const { wiki, listAll, admin } = await start(t)
  const [page] = (await listAll('/api/v2/pages?status=current')).slice(30)
  const found = async () =>
    (
      await wiki(
        `/rest/api/search?cql=${encodeURIComponent('type = page and lastmodified >= now("-1d")')}`
      )
    ).body.results.map(({ content }: { content: { title: string } }) => content.title)
  await admin(`pages/${page.id}`, { title: 'Renamed' })
  t.equal((await wiki(`/api/v2/pages/${page.id}`)).body.title, 'Renamed')
  t.strictSame(await found(), [])
  await admin('clock', { advance_ms: 60_000 })
  t.strictSame(await found(), ['Renamed'])
})
