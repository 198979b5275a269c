import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { problem } from './helper.ts'
import { copied, hand, timed, told } from './synced-service.ts'

// They mostly wait.
t.jobs = 6

t.test('A request that waits', async (t) => {
  const service = await copied(t, ['jira'], { sandbox: { sizes: { projects: 4, issues: 12 } } })
  const { app, get, post } = service
  const next = async (query = '') =>
    (await get(`/users/1/changes?limit=1000${query}`)).json().next as string

  t.test('is answered as soon as there is a change', async (t) => {
    const waiting = timed(get(`/users/1/changes?wait=30&since=${await next()}`))
    await sleep(300)
    await hand(service, 'NEWS')
    const [answer, ms] = await waiting
    t.same(told(answer), ['upsert projects NEWS'])
    t.ok(ms > 290 && ms < 3_000, `${ms} ms`)
  })

  t.test(
    'is answered at once where there is one already, and after its time where there is none, with a cursor that goes on',
    async (t) => {
      const since = await next()
      await hand(service, 'MORE')
      const [ready, ms] = await timed(get(`/users/1/changes?wait=30&since=${since}`))
      t.same(told(ready), ['upsert projects MORE'])
      t.ok(ms < 3_000)
      const [none, waited] = await timed(get(`/users/1/changes?wait=1&since=${ready.json().next}`))
      t.equal(none.statusCode, 200)
      t.match(none.json(), { changes: [], more: false, next: /./ })
      t.ok(waited >= 990 && waited < 3_000, `${waited} ms`)
      await hand(service, 'AFTER')
      t.same(told(await get(`/users/1/changes?since=${none.json().next}`)), [
        'upsert projects AFTER'
      ])
    }
  )

  t.test(
    'is not woken by changes of other collections, and does not lose what comes behind them',
    async (t) => {
      const waiting = get(`/users/1/changes?wait=30&collections=pages&since=${await next()}`)
      await hand(service, 'OTHER')
      await sleep(500)
      await post('/confluence/pages', { owner_id: 1, space_key: 'S', page_id: '1', title: 'Mine' })
      t.same(told(await waiting), ['upsert pages Mine'])
    }
  )

  t.test(
    'is told to begin again when a connection is ended meanwhile, and 404 when the user is',
    async (t) => {
      const waiting = timed(get(`/users/1/changes?wait=30&since=${await next()}`))
      await sleep(300)
      await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })
      const [gone, ms] = await waiting
      t.match(gone.json(), { status: 410, code: 'cursor_expired' })
      t.ok(ms < 5_000)
      const until404 = timed(
        get(`/users/1/changes?wait=30&since=${gone.json().cursor}&collections=issues`)
      )
      await sleep(300)
      await app.inject({ method: 'DELETE', url: '/users/1' })
      const [nobody, later] = await until404
      problem(t, nobody, 404, 'user_not_found')
      t.ok(later < 5_000)
      problem(t, await get('/users/1/changes'), 404, 'user_not_found')
    }
  )
})

t.test(
  'A request that waits ends when its client has gone, and when the service stops',
  async (t) => {
    const service = await copied(t, [])
    const { app, post } = service
    await post('/users', { email: 'ada@example.com' })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/users/1/changes?wait=60`
    const { state } = app.store.feed
    const seen = { looks: 0 }
    app.store.feed.state = async (owner) => {
      seen.looks++
      return await state(owner)
    }
    const leaving = new AbortController()
    const left = fetch(url, { signal: leaving.signal }).catch(() => 'gone')
    while (seen.looks < 3) await sleep(20)
    leaving.abort()
    t.equal(await left, 'gone')
    await sleep(500)
    const before = seen.looks
    await sleep(700)
    t.equal(seen.looks, before, 'nobody looks for it any more')

    const waiting = fetch(url)
    while (seen.looks < before + 2) await sleep(20)
    const [, ms] = await timed(app.close())
    t.ok(ms < 5_000, `${ms} ms`)
    t.match(await (await waiting).json(), { changes: [], more: false, next: /./ })
  }
)
