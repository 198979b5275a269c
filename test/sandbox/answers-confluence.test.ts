import t from 'tap'
import { ACME, getWithToken, startSignedIn } from './helper.ts'

async function start(t: Parameters<typeof startSignedIn>[0]) {
  const sandbox = await startSignedIn(t, { indexLagMs: 0 })
  const setAnswers = async (rules: object) =>
    await sandbox.admin('sites/acme/answers', rules, 'PUT')
  /** Follows `next`, at most 20 pages. */
  const listAll = async (path: string, prefix = '') => {
    const items: any[] = []
    let next: string | undefined = path
    for (let page = 0; page < 20; page++) {
      const { body } = await getWithToken(
        `${sandbox.url}/ex/confluence/${ACME}${prefix}${next}`,
        sandbox.token
      )
      items.push(...body.results)
      next = body._links.next
      if (next === undefined) return { items, isEndless: false }
    }
    return { items, isEndless: true }
  }
  const listPages = async () => await listAll('/wiki/api/v2/pages?limit=20')
  const searchPages = async () =>
    await listAll(
      `/rest/api/search?limit=20&cql=${encodeURIComponent('type = page order by lastmodified')}`,
      '/wiki'
    )
  return { ...sandbox, setAnswers, listAll, listPages, searchPages }
}

t.test('cursors of v2 and CQL repeat for ever', async (t) => {
  const { setAnswers, listAll, listPages, searchPages } = await start(t)
  for (const repeat of ['same', 'alternating']) {
    await setAnswers({ repeat_tokens: repeat })
    t.ok((await listPages()).isEndless)
    t.ok((await searchPages()).isEndless)
    t.ok((await listAll('/wiki/api/v2/spaces?limit=250')).isEndless)
  }
})

t.test('empty pages of v2 and CQL have a next', async (t) => {
  const { setAnswers, listPages, searchPages } = await start(t)
  const [pages, hits] = [(await listPages()).items, (await searchPages()).items]
  for (const cursors of ['new', 'same', 'alternating']) {
    await setAnswers({ empty_pages: { count: 2, cursors } })
    t.strictSame(await listPages(), { items: pages, isEndless: false }, cursors)
    t.equal((await searchPages()).items.length, hits.length, cursors)
    await setAnswers({ empty_pages: { count: 'endless', cursors } })
    t.strictSame(await listPages(), { items: pages.slice(0, 20), isEndless: true }, cursors)
    t.ok((await searchPages()).isEndless, cursors)
  }
})

t.test('pages above a size fail, and a cursor can be bound to its page size', async (t) => {
  const { setAnswers, wiki } = await start(t)
  await setAnswers({ large_pages: { above: 10, status: 504, cursor_bound: true } })
  t.equal((await wiki('/api/v2/pages?limit=11')).status, 504)
  const { body } = await wiki('/api/v2/pages?limit=10')
  const cursor = new URLSearchParams(body._links.next.split('?')[1]).get('cursor') ?? ''
  const after = `cursor=${encodeURIComponent(cursor)}`
  t.equal((await wiki(`/api/v2/pages?limit=10&${after}`)).status, 200)
  t.match(await wiki(`/api/v2/pages?limit=5&${after}`), {
    status: 400,
    body: { errors: [{ title: /'cursor' is not the correct type/ }] }
  })
  t.equal((await wiki('/rest/api/search?cql=type=page&limit=11')).status, 504)
})

t.test('listings of pages and spaces leave items out, look-ups find them', async (t) => {
  const { setAnswers, listAll, listPages, wiki } = await start(t)
  const [{ id }] = (await listPages()).items
  const [space] = (await listAll('/wiki/api/v2/spaces')).items
  await setAnswers({
    list_omits: [
      { collection: 'pages', ids: [id], listings: 1 },
      { collection: 'spaces', ids: [space.id], listings: 1 }
    ]
  })
  t.equal((await listPages()).items.length, 59)
  t.equal((await wiki(`/api/v2/pages?id=${id}`)).body.results.length, 1)
  t.equal((await wiki(`/api/v2/pages/${id}`)).status, 200)
  t.equal((await listPages()).items.length, 60)
  t.equal((await listAll('/wiki/api/v2/spaces')).items.length, 3)
  t.equal((await listAll(`/wiki/api/v2/spaces?ids=${space.id}`)).items.length, 1)
  t.equal((await listAll('/wiki/api/v2/spaces')).items.length, 4)
})

t.test('failing items fail their page', async (t) => {
  const { setAnswers, wiki, listPages } = await start(t)
  const { id } = (await listPages()).items[30]
  await setAnswers({ failing_items: [id] })
  t.equal((await wiki('/api/v2/pages?limit=20')).status, 200)
  t.equal((await wiki('/api/v2/pages?limit=50')).status, 500)
  t.equal((await wiki(`/api/v2/pages?id=${id}`)).status, 500)
})

t.test('a Live Doc has an empty current body, and its text in an older version', async (t) => {
  const { setAnswers, wiki, listPages } = await start(t)
  const { id, version } = (await listPages()).items[7]
  const read = async (more = '') =>
    (await wiki(`/api/v2/pages/${id}?body-format=storage${more}`)).body
  await setAnswers({ live_docs: [id] })
  const live = await read()
  t.equal(live.body.storage.value, '')
  t.equal(live.version.number, version.number + 1)
  t.match(await read(`&version=${version.number}`), {
    version: { number: version.number },
    body: { storage: { value: /<p>/ } }
  })
  t.match((await wiki(`/api/v2/pages?id=${id}&body-format=storage`)).body.results, [
    { subtype: 'live', body: { storage: { value: '' } } }
  ])
  await setAnswers({})
  t.match(await read(), { version: { number: version.number + 2 } })
  t.match((await read()).body.storage.value, /<p>/)
})

t.test('pages are trashed, purged, archived and restored by path', async (t) => {
  const { admin, wiki, listPages } = await start(t)
  const { id } = (await listPages()).items[9]
  for (const [action, status] of Object.entries({
    archive: 'archived',
    trash: 'trashed',
    restore: 'current'
  })) {
    t.match(await admin(`pages/${id}/${action}`), { status })
    t.match((await wiki(`/api/v2/pages/${id}`)).body, { status })
  }
  await admin(`pages/${id}/purge`, { site: 'acme' })
  t.match(await wiki(`/api/v2/pages/${id}`), {
    status: 404,
    body: { errors: [{ title: 'Not Found' }] }
  })
  await t.rejects(admin(`pages/${id}/burn`), /400 no action burn/)
})
