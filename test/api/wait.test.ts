import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { assertProblem } from './helper.ts'
import {
  startSyncedService,
  postProject,
  measureDuration,
  formatChanges
} from './synced-service.ts'

// These tests mostly wait.
t.jobs = 6

t.test('A long-poll request', async (t) => {
  const service = await startSyncedService(t, ['jira'], {
    sandbox: { sizes: { projects: 4, issues: 12 } }
  })
  const { app, get, post } = service
  const next = async (query = '') =>
    (await get(`/users/1/changes?limit=1000${query}`)).json().next as string

  t.test('returns as soon as there is a change', async (t) => {
    const waiting = measureDuration(get(`/users/1/changes?wait=30&since=${await next()}`))
    await sleep(300)
    await postProject(service, 'NEWS')
    const [answer, ms] = await waiting
    t.same(formatChanges(answer), ['upsert projects NEWS'])
    t.ok(ms > 290 && ms < 3_000, `${ms} ms`)
  })

  t.test(
    'returns at once if there are changes, else after the wait time, with a cursor that continues',
    async (t) => {
      const since = await next()
      await postProject(service, 'MORE')
      const [ready, ms] = await measureDuration(get(`/users/1/changes?wait=30&since=${since}`))
      t.same(formatChanges(ready), ['upsert projects MORE'])
      t.ok(ms < 3_000)
      const [none, waited] = await measureDuration(
        get(`/users/1/changes?wait=1&since=${ready.json().next}`)
      )
      t.equal(none.statusCode, 200)
      t.match(none.json(), { changes: [], more: false, next: /./ })
      t.ok(waited >= 990 && waited < 3_000, `${waited} ms`)
      await postProject(service, 'AFTER')
      t.same(formatChanges(await get(`/users/1/changes?since=${none.json().next}`)), [
        'upsert projects AFTER'
      ])
    }
  )

  t.test('ignores changes of other collections and loses no later change', async (t) => {
    const waiting = get(`/users/1/changes?wait=30&collections=pages&since=${await next()}`)
    await postProject(service, 'OTHER')
    await sleep(500)
    await post('/confluence/pages', { owner_id: 1, space_key: 'S', page_id: '1', title: 'Mine' })
    t.same(formatChanges(await waiting), ['upsert pages Mine'])
  })

  t.test(
    'returns 410 when a connection ends in the meantime, and 404 when its user is removed',
    async (t) => {
      const waiting = measureDuration(get(`/users/1/changes?wait=30&since=${await next()}`))
      await sleep(300)
      await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })
      const [goneResponse, ms] = await waiting
      t.match(goneResponse.json(), { status: 410, code: 'cursor_expired' })
      t.ok(ms < 5_000)
      const until404 = measureDuration(
        get(`/users/1/changes?wait=30&since=${goneResponse.json().cursor}&collections=issues`)
      )
      await sleep(300)
      await app.inject({ method: 'DELETE', url: '/users/1' })
      const [nobody, later] = await until404
      assertProblem(t, nobody, 404, 'user_not_found')
      t.ok(later < 5_000)
      assertProblem(t, await get('/users/1/changes'), 404, 'user_not_found')
    }
  )
})

t.test(
  'A long-poll request ends when its client disconnects and when the service stops',
  async (t) => {
    const service = await startSyncedService(t, [])
    const { app, post } = service
    await post('/users', { email: 'ada@example.com' })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/users/1/changes?wait=60`
    const { getState } = app.store.changeFeed
    const seen = { looks: 0 }
    app.store.changeFeed.getState = async (owner) => {
      seen.looks++
      return await getState(owner)
    }
    const leaving = new AbortController()
    const abortedRequest = fetch(url, { signal: leaving.signal }).catch(() => 'gone')
    while (seen.looks < 3) await sleep(20)
    leaving.abort()
    t.equal(await abortedRequest, 'gone')
    await sleep(500)
    const before = seen.looks
    await sleep(700)
    t.equal(seen.looks, before, 'stops reading the database')

    const waiting = fetch(url)
    while (seen.looks < before + 2) await sleep(20)
    const [, ms] = await measureDuration(app.close())
    t.ok(ms < 5_000, `${ms} ms`)
    t.match(await (await waiting).json(), { changes: [], more: false, next: /./ })
  }
)
