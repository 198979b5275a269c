import t from 'tap'
import { ACME, getWithToken, startSandbox, signIn, createCallers, startSignedIn } from './helper.ts'

const SCOPES =
  'read:page:confluence read:space:confluence search:confluence read:folder:confluence ' +
  'read:database:confluence read:whiteboard:confluence read:hierarchical-content:confluence'

async function start(t: Parameters<typeof startSandbox>[0]) {
  const sandbox = await startSandbox(t, { indexLagMs: 0, sizes: { pages: 200 } })
  const { access_token: token } = await signIn(sandbox.url, { scope: SCOPES })
  const { wiki } = createCallers(sandbox.url, token)
  const pages = async (): Promise<any[]> =>
    (await wiki('/api/v2/pages?limit=250&status=current,archived,trashed')).body.results
  return { ...sandbox, token, wiki, pages }
}

t.test('pages are below pages, folders, databases and whiteboards, or at the root', async (t) => {
  const { pages } = await start(t)
  const types = new Set((await pages()).map(({ parentType }) => parentType))
  t.strictSame([...types].sort(), ['database', 'folder', 'page', 'whiteboard', null].sort())
  const roots = (await pages()).filter(({ parentId }) => parentId === null)
  const homepages = roots.filter(({ _links }) => _links.webui.endsWith('/overview'))
  t.equal(homepages.length, 4)
  t.ok(roots.length > homepages.length, 'a space has several root pages')
})

t.test('folders are read by id with createdAt in milliseconds, and nest', async (t) => {
  const { pages, wiki } = await start(t)
  const below = (await pages()).filter(({ parentType }) => parentType === 'folder')
  const folders = await Promise.all(
    [...new Set(below.map(({ parentId }) => parentId))].map(
      async (id) => (await wiki(`/api/v2/folders/${id}`)).body
    )
  )
  t.ok(folders.every(({ createdAt, type }) => Number.isInteger(createdAt) && type === 'folder'))
  t.ok(folders.some(({ parentType }) => parentType === 'folder'))
  const [folder] = folders
  t.match(await wiki(`/api/v2/pages/${folder.id}`), {
    status: 404,
    body: { errors: [{ title: `Cannot find a page with id [${folder.id}]` }] }
  })
  t.equal((await wiki(`/api/v2/databases/${folder.id}`)).status, 404)
  const database = (await pages()).find(({ parentType }) => parentType === 'database')
  t.match((await wiki(`/api/v2/databases/${database.parentId}`)).body, {
    type: 'database',
    createdAt: /Z$/,
    parentType: 'folder'
  })
})

t.test('children hides folders and what is below them, direct-children shows them', async (t) => {
  const { pages, wiki } = await start(t)
  const [homepage] = await pages()
  const children = (await wiki(`/api/v2/pages/${homepage.id}/children?limit=250`)).body.results
  const direct = (await wiki(`/api/v2/pages/${homepage.id}/direct-children?limit=250`)).body.results
  t.strictSame(
    children.map(({ id }: { id: string }) => id),
    (await pages()).filter(({ parentId }) => parentId === homepage.id).map(({ id }) => id)
  )
  const folder = direct.find(({ type }: { type: string }) => type === 'folder')
  t.equal(direct.length, children.length + 1)
  t.equal(folder.spaceId, undefined)
  const inside = (await wiki(`/api/v2/folders/${folder.id}/direct-children?limit=250`)).body.results
  t.ok(inside.some(({ type }: { type: string }) => type === 'folder'))
  t.ok(inside.some(({ type }: { type: string }) => type === 'page'))
})

t.test('children are paged by cursor', async (t) => {
  const { url, token, pages, wiki } = await start(t)
  const [homepage] = await pages()
  const path = `/api/v2/pages/${homepage.id}/direct-children`
  const all = (await wiki(`${path}?limit=250`)).body.results
  const found: unknown[] = []
  for (let next: string | undefined = `/wiki${path}?limit=2`; next !== undefined;) {
    const { body } = await getWithToken(`${url}/ex/confluence/${ACME}${next}`, token)
    found.push(...body.results)
    next = body._links.next
  }
  t.strictSame(found, all)
  t.equal((await wiki('/api/v2/pages/999/children')).status, 404)
})

t.test('CQL finds folders by type, title and space', async (t) => {
  const { wiki } = await start(t)
  const search = async (cql: string, more = '') =>
    await wiki(`/rest/api/search?cql=${encodeURIComponent(cql)}${more}`)
  const { body } = await search('type = folder')
  t.equal(body.results.length, 8)
  t.match(body.results[0].content, { type: 'folder', title: 'Meetings 1' })
  t.equal((await search('type = folder and title ~ "2025" and space = ENG')).body.size, 1)
  const page = (await search('type = folder', '&limit=5')).body
  t.match(page, { size: 5, _links: { next: /cursor=/ } })
  t.match(await search('type = meeting'), {
    status: 400,
    body: { message: /page, blogpost.*folder/ }
  })
  t.match(await search('status = archived'), {
    status: 400,
    body: { message: /^No field exists with the name: 'status'.*Did you mean one of/ }
  })
  t.equal((await search('title = ""')).status, 400)
  t.equal((await search('type = page', '&limit=1001')).body.limit, 1001, 'is echoed')
})

t.test('a trashed space answers by id, and hides its pages', async (t) => {
  const { wiki, admin } = await start(t)
  const [space] = (await wiki('/api/v2/spaces')).body.results
  t.match(space, { currentActiveAlias: null, description: null })
  await admin(`spaces/${space.id}`, { status: 'trashed' })
  t.equal((await wiki('/api/v2/spaces')).body.results.length, 3)
  t.match((await wiki('/api/v2/spaces?status=trashed')).body.results, [{ id: space.id }])
  t.match((await wiki(`/api/v2/spaces/${space.id}`)).body, { status: 'trashed' })
  t.strictSame((await wiki(`/api/v2/pages?space-id=${space.id}`)).body.results, [])
  t.equal((await wiki('/api/v2/spaces?type=bogus')).status, 400)
  t.equal((await wiki('/api/v2/spaces?status=bogus')).status, 400)
})

t.test('archived pages keep their parent, and a version has no message', async (t) => {
  const { admin, pages, wiki } = await start(t)
  const { id, parentId, version } = (await pages()).find(({ parentType }) => parentType === 'page')
  t.equal(version.message, null)
  await admin(`pages/${id}/archive`)
  t.match((await wiki(`/api/v2/pages/${id}`)).body, { status: 'archived', parentId })
})

t.test('v2 answers an unknown route with HTML, and a wrong method with 405', async (t) => {
  const { url, token, wiki } = await startSignedIn(t)
  t.match(await wiki('/api/v2/nonsense'), { status: 404, body: /^<!doctype html>/ })
  const pages = `${url}/ex/confluence/${ACME}/wiki/api/v2/pages`
  t.match(await getWithToken(pages, token, { method: 'DELETE' }), {
    status: 405,
    body: { errors: [{ code: 'METHOD_NOT_ALLOWED' }] }
  })
})

t.test('removed v1 calls carry the headers of their removal', async (t) => {
  const { url } = await startSandbox(t)
  const { access_token: token } = await signIn(url, { scope: 'read:confluence-content.all' })
  for (const path of ['/rest/api/content', '/rest/api/space/ENG']) {
    const { status, headers } = await createCallers(url, token).wiki(path)
    t.equal(status, 410)
    t.match(Object.fromEntries(headers), {
      deprecation: /GMT$/,
      link: /CHANGE-864>; rel="deprecation"/,
      warning: /^299 - "Deprecated API/
    })
  }
})
