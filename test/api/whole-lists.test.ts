import { once } from 'node:events'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createApiKey } from '../access/helper.ts'
import { buildTestApp, waitFor } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { followPages } from './helper.ts'
import { renamePages, storePages } from './list-filler.ts'

const ITEM_COUNT = 2_300
const LIST_PATH = '/confluence/pages/1'
const FETCH_PATH = '/integrations/confluence/pages/fetch'
const getItems = (body: any) => (Array.isArray(body) ? body : body.items)
const getIds = (items: Array<{ id: number }>) => items.map(({ id }) => id)

/** A service with more pages than one page of a list has. */
async function startFilledApp(t: Test, env: NodeJS.ProcessEnv = {}) {
  const built = await buildTestApp(t, env)
  await built.app.store.users.findOrCreate('ada@example.com', null)
  await storePages(built.app, ITEM_COUNT)
  return built
}

/** Calls a function after each database page that a whole list reads, before it is sent. */
function interceptReading(
  { app }: Awaited<ReturnType<typeof startFilledApp>>,
  beforePage: (pageIndex: number) => void | Promise<void>
): { countPages: () => number; hasEnded: () => boolean } {
  const items = app.store.items('pages')
  const readSnapshot = items.readSnapshot.bind(items)
  let [count, hasEnded] = [0, false]
  items.readSnapshot = async function* (...args) {
    try {
      for await (const page of readSnapshot(...args)) {
        await beforePage(count++)
        yield page
      }
    } finally {
      hasEnded = true
    }
  }
  return { countPages: () => count, hasEnded: () => hasEnded }
}

async function openResponse(
  url: string,
  headers: Record<string, string> = {}
): Promise<IncomingMessage> {
  const [response] = (await once(httpGet(url, { headers }), 'response')) as [IncomingMessage]
  return response
}

t.test(
  'Asked without limit, a list has every item once, in its order, without bodies',
  async (t) => {
    const { app } = await startFilledApp(t)
    for (const path of [LIST_PATH, `/api${LIST_PATH}`, FETCH_PATH, `${FETCH_PATH}?owner_id=1`]) {
      const answer = await app.inject(path)
      const items = getItems(answer.json())
      t.equal(items.length, ITEM_COUNT, path)
      t.match(answer.headers, {
        'content-type': 'application/json; charset=utf-8',
        'x-total-count': String(ITEM_COUNT),
        'x-sync-state': 'never',
        etag: /^"[\w.]+"$/
      })
      t.notOk(answer.headers.link, 'there is no next page')
      const { pages } = await followPages(
        app,
        `${path}${path.includes('?') ? '&' : '?'}limit=1000`,
        getItems
      )
      t.same(items, pages.flat(), 'the same as page by page')
      t.notOk(answer.body.includes('A body that no list contains'))
    }
    const { items: _items, ...envelope } = (await app.inject(FETCH_PATH)).json()
    t.same(envelope, {
      provider: 'confluence',
      total: ITEM_COUNT,
      as_of: null,
      sync_state: 'never'
    })
  }
)

t.test('A whole list obeys the filters, and pages only where the caller asks', async (t) => {
  const { app } = await startFilledApp(t)
  const whole = (await app.inject(`${LIST_PATH}?q=title`)).json()
  t.equal(whole.length, ITEM_COUNT)
  const inSpace = await app.inject(`${LIST_PATH}?space=S3`)
  t.same(
    inSpace.json(),
    whole.filter(({ space_key: key }: { space_key: string }) => key === 'S3')
  )
  t.equal(inSpace.headers['x-total-count'], String(ITEM_COUNT / 10))
  const withBodies = await app.inject(`${LIST_PATH}?include=body`)
  t.equal(withBodies.json().length, 100, 'bodies come in pages')
  t.match(withBodies.headers, { link: /rel="next"/, 'x-total-count': String(ITEM_COUNT) })
  const url = `${LIST_PATH}?limit=3`
  const next = resolveNextPage(url, (await app.inject(url)).headers.link) ?? ''
  const fromCursor = await app.inject(next.replace('limit=3&', ''))
  t.equal(fromCursor.json().length, 1_000, 'a cursor continues in pages')
})

t.test('Items that move while a list is sent are neither skipped nor repeated', async (t) => {
  const built = await startFilledApp(t)
  const before = (await built.app.inject(LIST_PATH)).json()
  const { page_id: lastId, id: movedId } = before.at(-1)
  const { page_id: firstId } = before[0]
  const { id: deletedId, page_id: deletedPageId } = before.at(-2)
  interceptReading(built, async (page) => {
    if (page !== 1) return
    await renamePages(built.app, [
      [lastId, 'A title before all others'],
      [firstId, 'Zzz, a title after all others'],
      [before[700].page_id, before[700].title],
      ['9999999', 'Title 0002000, a new page']
    ])
    const { store } = built.app
    const deleted = { id: deletedId, remoteId: deletedPageId, generation: 1 }
    await store.transaction(() => store.items('pages').writeTombstones(1, [deleted]), true)
  })
  const during = (await built.app.inject(LIST_PATH)).json()
  t.same(
    getIds(during),
    getIds(before).filter((id) => id !== deletedId),
    'the list as it was at its start, without what was deleted before it was read'
  )
  t.match(during.at(-1), { id: movedId, title: 'A title before all others' }, 'present contents')
  const after = getIds((await built.app.inject(LIST_PATH)).json())
  t.equal(after.length, ITEM_COUNT)
  t.equal(after[0], movedId, 'the next list has the new order')
})

t.test(
  'T37 Many whole lists of one person begin at the same time, and each is complete',
  async (t) => {
    const built = await startFilledApp(t)
    // Reading takes a while, so that most lists wait for their turn.
    interceptReading(built, async () => await sleep(10))
    const url = (await built.app.listen({ port: 0 })) + LIST_PATH
    let endedCount = 0
    const begun = Array.from({ length: 40 }, async () => {
      const response = await openResponse(url)
      const endedBefore = endedCount
      const chunks = await response.toArray()
      endedCount++
      return { endedBefore, items: JSON.parse(Buffer.concat(chunks).toString()) as unknown[] }
    })
    const lists = await Promise.all(begun)
    t.same(new Set(lists.map(({ items }) => items.length)), new Set([ITEM_COUNT]))
    const startedEarly = lists.filter(({ endedBefore }) => endedBefore === 0)
    t.ok(startedEarly.length > 20, `${startedEarly.length} of 40 began before the first one ended`)
  }
)

t.test('Lists that share a snapshot never hide a later change', async (t) => {
  const built = await startFilledApp(t)
  const url = (await built.app.listen({ port: 0 })) + LIST_PATH
  const first = await openResponse(url)
  await renamePages(built.app, [['9999999', 'A new page']])
  const second = await openResponse(url)
  const [before, after] = await Promise.all(
    [first, second].map(async (response) =>
      JSON.parse(Buffer.concat(await response.toArray()).toString())
    )
  )
  t.equal(before.length, ITEM_COUNT)
  t.equal(after.length, ITEM_COUNT + 1, 'a request after the change has the new page')
})

t.test('An error in the middle cuts the connection and never closes the array', async (t) => {
  for (const path of [LIST_PATH, FETCH_PATH]) {
    const built = await startFilledApp(t)
    interceptReading(built, (page) => {
      if (page === 2) throw new Error('planted failure')
    })
    const url = await built.app.listen({ port: 0 })
    const response = await openResponse(url + path)
    t.equal(response.statusCode, 200)
    let received = ''
    await t.rejects(async () => {
      for await (const chunk of response) received += String(chunk)
    }, 'the client sees that the response is incomplete')
    t.ok(received.length > 100_000)
    t.throws(() => JSON.parse(received))
    t.notMatch(received, /\](\})?$/)
    t.match(
      built.lines().find(({ event }) => event === 'list_aborted'),
      { level: 'error', err: { message: 'planted failure' }, request_id: /./ }
    )
  }
})

t.test('A client that leaves ends the reading, and is no error', async (t) => {
  const built = await startFilledApp(t)
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const { countPages, hasEnded } = interceptReading(built, async (page) => {
    if (page === 2) await released
  })
  const url = await built.app.listen({ port: 0 })
  const response = await openResponse(url + LIST_PATH)
  await once(response, 'data')
  response.destroy()
  await waitFor(async () => (await getConnectionCount(built.app.server)) === 0, 10_000)
  release()
  await waitFor(hasEnded, 10_000)
  t.ok(countPages() <= 3, 'the page that was being read is the last one')
  t.notOk(built.lines().some(({ level }) => level === 'error'))
})

t.test('A revoked key ends the list within seconds', async (t) => {
  const built = await startFilledApp(t, { API_ACCESS: 'protected' })
  const { headers } = await createApiKey(built.app, ['data:read'], { name: 'revoked' })
  interceptReading(built, async (page) => {
    if (page !== 1) return
    await built.app.store.apiKeys.revoke({ name: 'revoked' })
    await sleep(2_100)
  })
  const response = await openResponse((await built.app.listen({ port: 0 })) + LIST_PATH, headers)
  await t.rejects(response.toArray(), 'the connection is closed')
  t.match(
    built.lines().find(({ event }) => event === 'list_aborted'),
    { err: { message: 'The credential is no longer valid.' } }
  )
})

t.test('HEAD and a current ETag read no list', async (t) => {
  const built = await startFilledApp(t)
  const { countPages } = interceptReading(built, () => {})
  for (const url of [LIST_PATH, FETCH_PATH]) {
    const { headers } = await built.app.inject(url)
    const count = countPages()
    const head = await built.app.inject({ method: 'HEAD', url })
    t.equal(head.body, '')
    for (const name of ['etag', 'x-total-count', 'x-sync-state', 'content-type']) {
      t.equal(head.headers[name], headers[name], name)
    }
    const ifNoneMatch = { 'if-none-match': String(headers.etag) }
    const unchanged = await built.app.inject({ url, headers: ifNoneMatch })
    t.match(unchanged, { statusCode: 304, body: '', headers: { 'x-sync-state': 'never' } })
    t.equal(countPages(), count)
  }
})

async function getConnectionCount(server: {
  getConnections: (callback: (error: Error | null, count: number) => void) => void
}): Promise<number> {
  return await new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}
