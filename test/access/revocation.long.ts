import { once } from 'node:events'
import { get, type ClientRequest, type IncomingMessage } from 'node:http'
import t from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { buildTestApp, waitFor } from '../helper.ts'
import { createApiKey, PROTECTED_ENV } from './helper.ts'

/** In issue 15: one second, on a machine that has nothing else to do. */
const MAX_END_MS = pickByScale(10_000, 1_000)
const PAGES = 60
const PAGE_BYTES = 200_000

t.test(
  'T07 Revoking a key ends its long polls, and exports that a slow client reads',
  async (t) => {
    const { app, lines } = await buildTestApp(t, PROTECTED_ENV)
    const { user } = await app.store.users.findOrCreate('ada@example.com', null)
    const item = (i: number) => ({
      spaceKey: 'S',
      pageId: String(i),
      title: `Page ${i} ${'x'.repeat(PAGE_BYTES)}`,
      url: null
    })
    for (let i = 0; i < PAGES; i++) {
      await app.store.items('pages').save(user.id, JSON.stringify(['S', String(i)]), item(i))
    }
    const base = await app.listen({ host: '127.0.0.1', port: 0 })
    const admin = await createApiKey(app, ['admin'])
    const key = await createApiKey(app, ['data:read', 'personal-data:read'], { name: 'revoked' })
    let [next, hasMore] = ['', true]
    while (hasMore) {
      const since = next === '' ? '' : `&since=${encodeURIComponent(next)}`
      const page = await app.inject({
        url: `/users/${user.id}/changes?limit=1000${since}`,
        headers: admin.headers
      })
      ;({ next, more: hasMore } = page.json<{ next: string; more: boolean }>())
    }

    const open = (path: string, headers: object): ClientRequest => {
      const request = get(`${base}${path}`, { headers: { ...headers }, agent: false })
      request.on('error', () => {})
      t.teardown(() => request.destroy())
      return request
    }
    const waitPath = `/users/${user.id}/changes?since=${next}&wait=30`
    const poll = once(open(waitPath, key.headers), 'response') as Promise<[IncomingMessage]>
    const otherPoll = open(waitPath, admin.headers)
    let hasOtherAnswered = false
    otherPoll.on('response', () => {
      hasOtherAnswered = true
    })
    const [document] = (await once(open(`/users/${user.id}/export`, key.headers), 'response')) as [
      IncomingMessage
    ]
    t.equal(document.statusCode, 200)
    const isClosed = new Promise<void>((resolve) => {
      document.on('error', () => {}).once('close', resolve)
    })
    // Reads the first part and then stops: what is left waits in the service.
    await once(document, 'readable')

    await app.store.apiKeys.revoke({ name: 'revoked' })
    const revokedAt = performance.now()
    const [answer] = await poll
    t.equal(answer.statusCode, 401, 'the long poll')
    t.ok(performance.now() - revokedAt < MAX_END_MS, 'the long poll in time')
    await waitFor(async () => lines().some(({ event }) => event === 'export_aborted'))
    t.ok(performance.now() - revokedAt < MAX_END_MS, 'the export in time')
    document.resume()
    await isClosed
    t.notOk(document.complete, 'the export is not complete')
    t.notOk(hasOtherAnswered, 'other callers go on')
  }
)
