import t from 'tap'
import { followPages, assertProblem, getItems } from './helper.ts'
import { waitForRun } from '../helper.ts'
import { startSyncedService, type SyncedService } from './synced-service.ts'
import { FeedFollower, readLists } from './feed-follower.ts'

const BODY_COUNT = 120

/** Enables or disables page bodies, and waits for the sync that applies it. */
async function setPageBodies(
  { app }: SyncedService,
  pageBodies: boolean
): Promise<Record<string, any>> {
  const answer = await app.inject({
    method: 'PATCH',
    url: '/users/1/connections/confluence',
    payload: { page_bodies: pageBodies }
  })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  const [{ id }] = (await app.inject('/integrations/confluence/sync/runs?limit=1')).json()
  return await waitForRun(app, 'confluence', id)
}

t.test(
  'Copies page bodies if the connection enables them, and returns them on request',
  async (t) => {
    const service = await startSyncedService(t, ['confluence'], {
      sandbox: { sizes: { pages: BODY_COUNT } }
    })
    const {
      app,
      get,
      post,
      sandbox: { admin }
    } = service
    const [page] = (await get('/confluence/pages/1')).json()
    await admin(`pages/${page.page_id}`, {
      body: '<h1>Restart</h1><p>the <strong>worker</strong> &amp; wait</p>'
    })
    const list = async (query: string) =>
      (await get(`/confluence/pages/1?${query}`)).json() as any[]
    const one = async () => (await list('include=body')).find(({ id }: any) => id === page.id)

    t.same(await one(), { ...page, body: null }, 'null at first')
    t.notOk('body' in page, 'no body unless requested')
    const before = (await get('/users/1/changes?limit=1000')).json().next
    t.match(await setPageBodies(service, true), {
      state: 'succeeded',
      counts: { changed: BODY_COUNT }
    })
    const whole = await one()
    t.same(whole.body, {
      storage: '<h1>Restart</h1><p>the <strong>worker</strong> &amp; wait</p>',
      text: 'Restart\nthe worker & wait'
    })
    t.same(Object.keys(whole), [...Object.keys(page), 'body'])
    t.ok(
      (await list('include=body')).every(
        ({ body }) => body.storage.length > 0 && body.text.length > 0 && !body.text.includes('<')
      )
    )
    t.ok(
      (await list('')).every((item) => !('body' in item)),
      'lists omit bodies'
    )
    t.equal(
      (await get('/users/1/changes?limit=1000')).body.includes('storage'),
      false,
      'the feed omits bodies and reports that they changed'
    )
    t.equal(
      (await get(`/users/1/changes?limit=1000&since=${before}`)).json().changes.length,
      BODY_COUNT
    )

    t.test('a list page with bodies has at most 100 items', async (t) => {
      t.equal((await list('include=body')).length, 100)
      t.equal((await list('')).length, BODY_COUNT)
      for (const url of [
        '/confluence/pages/1?include=body',
        '/api/integrations/confluence/pages/fetch?include=body',
        '/confluence/pages/1?include=body&limit=100',
        '/confluence/pages/1?include=body&limit=7&q=e'
      ]) {
        const { pages, links } = await followPages(app, url, getItems)
        t.ok(
          pages.every((each) => each.length <= 100),
          url
        )
        t.same(
          pages.flat().map(({ body, ...item }) => item),
          await list(url.includes('q=e') ? 'q=e' : ''),
          url
        )
        t.ok(pages.flat().every(({ body }) => typeof body.storage === 'string'))
        t.ok(links.length > 0 && links.every((link) => link.includes('include=body')), url)
      }
      for (const limit of [101, 1000]) {
        t.match(
          assertProblem(
            t,
            await get(`/confluence/pages/1?include=body&limit=${limit}`),
            422,
            'validation_failed'
          ),
          { detail: /at most 100/, errors: [{ pointer: '/limit' }] }
        )
      }
      for (const query of ['include=bodies', 'include=', 'include=body&include=body']) {
        t.match(
          assertProblem(t, await get(`/confluence/pages/1?${query}`), 422, 'validation_failed')
            .errors,
          [{ pointer: '/include' }]
        )
      }
      assertProblem(t, await get('/confluence/spaces/1?include=body'), 422, 'validation_failed')
    })

    t.test(
      'a page posted by hand has no body, and the ETag depends on what the response includes',
      async (t) => {
        await post('/confluence/pages', {
          owner_id: 1,
          space_key: 'S',
          page_id: '1',
          title: ' first'
        })
        t.match((await list('include=body&limit=1'))[0], { title: ' first', body: null })
        const { etag } = (await get('/confluence/pages/1?include=body')).headers
        t.equal(
          (await get('/confluence/pages/1?include=body', { 'if-none-match': String(etag) }))
            .statusCode,
          304
        )
        await admin(`pages/${page.page_id}`, { body: '<p>Only the body is new</p>' })
        await service.runSync('confluence', 'incremental')
        t.equal(
          (await get('/confluence/pages/1?include=body', { 'if-none-match': String(etag) }))
            .statusCode,
          200
        )
        t.match(await one(), { body: { text: 'Only the body is new' } })
      }
    )

    t.test('are deleted when the connection disables them', async (t) => {
      t.match(await setPageBodies(service, false), {
        state: 'succeeded',
        counts: { changed: BODY_COUNT }
      })
      t.ok((await list('include=body')).every(({ body }) => body === null))
      const mirror = new FeedFollower(app, 1)
      await mirror.catchUp()
      t.same(Object.fromEntries(mirror.items), Object.fromEntries(await readLists(app, 1)))
    })
  }
)
