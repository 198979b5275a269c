import t from 'tap'
import { ACME } from '../sandbox/helper.ts'
import {
  accept,
  ACME_URL,
  CALLBACK,
  CREDENTIALS,
  rejection,
  startAsAtlassian,
  takeDrift
} from './helper.ts'

const {
  createV1Client,
  createV2Client,
  exchangeAuthorizationCode,
  generateAuthorizationUrl,
  getAccessibleResources,
  isApiError,
  isNotFoundError,
  isOAuthError,
  parseCallbackUrl,
  refreshOAuth2Token
} = await import('confluence.js')
const { createClient } = await import('confluence.js/core')

const SCOPES = [
  'read:space:confluence',
  'read:page:confluence',
  'read:folder:confluence',
  'read:database:confluence',
  'read:whiteboard:confluence',
  'read:hierarchical-content:confluence',
  'search:confluence',
  'read:confluence-user',
  'offline_access'
]

async function login() {
  const url = generateAuthorizationUrl({
    clientId: CREDENTIALS.clientId,
    scopes: SCOPES,
    redirectUri: CALLBACK,
    state: 'st'
  })
  const { code } = parseCallbackUrl(await accept(url), { expectedState: 'st' })
  return await exchangeAuthorizationCode({ ...CREDENTIALS, code, redirectUri: CALLBACK })
}

/** Clients of both versions; they throw on each answer that their schema does not describe. */
async function start(t: Parameters<typeof startAsAtlassian>[0]) {
  const sandbox = await startAsAtlassian(t, { sizes: { pages: 200 } })
  const { accessToken, refreshToken } = await login()
  const refreshed: string[] = []
  const client = createClient({
    auth: {
      type: 'oauth2',
      accessToken,
      refreshToken,
      ...CREDENTIALS,
      siteUrl: ACME_URL,
      onTokenRefresh: (event) => {
        refreshed.push(String(event.refreshToken))
      }
    }
  })
  takeDrift()
  t.teardown(() => takeDrift())
  return { ...sandbox, v1: createV1Client(client), v2: createV2Client(client), refreshed }
}

/** The cursor of a `next` link. */
const cursorOf = (next: string | undefined) =>
  new URLSearchParams(next?.split('?')[1]).get('cursor') ?? undefined

t.test("confluence.js's OAuth helpers log in, refresh and list sites", async (t) => {
  await startAsAtlassian(t)
  const tokens = await login()
  t.match(tokens, { expiresIn: 3600, scope: SCOPES.join(' ') })
  const next = await refreshOAuth2Token({ ...CREDENTIALS, refreshToken: tokens.refreshToken ?? '' })
  t.not(next.refreshToken, tokens.refreshToken)
  const sites = await getAccessibleResources(next.accessToken)
  t.ok(sites.some(({ id }) => id === ACME))
  const error = await rejection(refreshOAuth2Token({ ...CREDENTIALS, refreshToken: 'unknown' }))
  t.ok(isOAuthError(error))
})

t.test('confluence.js lists spaces and pages to the end, with bodies', async (t) => {
  const { v2 } = await start(t)
  const spaces = await v2.space.getSpaces({ limit: 250, descriptionFormat: 'plain' })
  t.equal(spaces.results?.length, 4)
  const space = await v2.space.getSpaceById({ id: Number(spaces.results?.[0]?.id) })
  t.equal(space.key, 'ENG')
  const ids = new Set<string>()
  let cursor: string | undefined
  do {
    const page = await v2.page.getPages({
      limit: 50,
      bodyFormat: 'storage',
      status: ['current', 'archived'],
      ...(cursor !== undefined && { cursor })
    })
    for (const { id } of page.results ?? []) ids.add(String(id))
    cursor = cursorOf((page as { _links?: { next?: string } })._links?.next)
  } while (cursor !== undefined)
  t.equal(ids.size, 200)
  t.strictSame(takeDrift(), [])
})

t.test('confluence.js reads pages, trashed ones too, and the tree around them', async (t) => {
  const { v2, admin } = await start(t)
  const { results = [] } = await v2.page.getPages({ limit: 250 })
  for (const page of results.slice(0, 60)) await v2.page.getPageById({ id: Number(page.id) })
  for (const [type, read] of Object.entries({
    folder: v2.folder.getFolderById,
    database: v2.database.getDatabaseById,
    whiteboard: v2.whiteboard.getWhiteboardById
  })) {
    const id = Number(results.find(({ parentType }) => parentType === type)?.parentId)
    t.match(await read({ id }), { type })
  }
  const homepage = Number(results[0]?.id)
  t.ok((await v2.children.getChildPages({ id: homepage })).results?.length)
  const children = (await v2.children.getPageDirectChildren({ id: homepage })).results ?? []
  const folder = children.find(({ type }) => type === 'folder')
  t.ok((await v2.children.getFolderDirectChildren({ id: Number(folder?.id) })).results?.length)
  const id = Number(results.at(-1)?.id)
  await admin(`pages/${id}/trash`)
  t.match(await v2.page.getPageById({ id }), { status: 'trashed', parentId: null })
  await admin(`pages/${id}/purge`)
  t.ok(isNotFoundError(await rejection(v2.page.getPageById({ id }))))
  t.strictSame(takeDrift(), [])
})

t.test('confluence.js searches by CQL and reads the user', async (t) => {
  const { v1 } = await start(t)
  const found = await v1.search.searchByCQL({
    cql: 'type = page order by lastmodified',
    limit: 25,
    excerpt: 'none'
  })
  t.ok((found.results?.length ?? 0) > 15)
  const folders = await v1.search.searchByCQL({ cql: 'type = folder' })
  t.equal(folders.results?.length, 8)
  t.match(await v1.users.getCurrentUser(), { accountId: /^712020:/ })
  const error = await rejection(v1.search.searchByCQL({ cql: 'status = archived' }))
  t.ok(isApiError(error) && error.status === 400)
  t.strictSame(takeDrift(), [])
})

t.test('confluence.js refreshes a dead access token once for many calls', async (t) => {
  const { v2, refreshed, admin } = await start(t)
  await admin('clock', { advance_ms: 3_700_000 })
  await Promise.all([v2.space.getSpaces(), v2.page.getPages(), v2.page.getPages()])
  t.equal(refreshed.length, 1)
})

t.test('a wrong type makes confluence.js throw, and an unknown value is noticed', async (t) => {
  const { v2, admin } = await start(t)
  const [space] = (await v2.space.getSpaces()).results ?? []
  const spoil = { collection: 'spaces', id: String(space?.id) }
  await admin('spoil', { ...spoil, fields: { type: 'gothic' } })
  await v2.space.getSpaces()
  t.match(takeDrift(), [/gothic/])
  await admin('spoil', { ...spoil, fields: { name: 7 } })
  t.ok(await rejection(v2.space.getSpaces()))
})
