import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import t from 'tap'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { storePages } from '../api/list-filler.ts'
import { Browser, buildAppWithSandbox, buildTestApp, waitFor } from '../helper.ts'
import type { TestContext } from '../types.ts'

/** A list of so many pages fills the buffers of a connection whose client does not read. */
const PAGE_COUNT = 40_000
const OPEN = { access: 'open' } as const

/** Lets five minutes pass on the clock that measures durations, in this process. */
function passFiveMinutes(t: TestContext): void {
  const now = performance.now.bind(performance)
  performance.now = () => now() + 300_000
  t.teardown(() => {
    performance.now = now
  })
}

async function open(url: string): Promise<IncomingMessage> {
  const [response] = (await once(get(url), 'response')) as [IncomingMessage]
  return response.resume()
}

t.test('E3 T32 A handler that does not answer in its time gets 503', async (t) => {
  const { app, lines } = await buildTestApp(t)
  app.get(
    '/never',
    { config: { ...OPEN, timeLimitMs: 10 } },
    async () => await new Promise(() => {})
  )
  // Keeps the process alive, as a server that listens does.
  const timer = setTimeout(() => {}, 20_000)
  t.teardown(() => {
    clearTimeout(timer)
  })
  const response = await app.inject('/never')
  t.match(response, { statusCode: 503, headers: { 'retry-after': '1' } })
  t.match(response.json(), { code: 'unavailable', detail: 'The request took too long. Try again.' })
  t.match(
    lines().find(({ path, event }) => path === '/never' && event === 'request_completed'),
    { status_code: 503, error_code: 'unavailable' }
  )
})

t.test('A response that has begun is cut at its limit', async (t) => {
  const { app } = await buildTestApp(t)
  app.get('/endless', { config: { ...OPEN, timeLimitMs: 10 } }, async (_request, reply) => {
    const body = new Readable({ read() {} })
    body.push('begun')
    return await reply.send(body)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const response = await open(`http://127.0.0.1:${port}/endless`)
  await t.rejects(once(response, 'end'), { code: 'ECONNRESET' })
})

t.test(
  'T34 Requests of closed connections are forgotten, also those that wait for others',
  async (t) => {
    const { app } = await buildTestApp(t)
    app.get('/never', { config: OPEN }, async () => await new Promise(() => {}))
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(5))
    await waitFor(() => app.countOpenRequests() === 5)
    socket.destroy()
    await waitFor(() => app.countOpenRequests() === 0, 20_000)
  }
)

t.test(
  'An event stream of five minutes goes on, while another request has reached its limit',
  async (t) => {
    const { app, sandbox } = await buildAppWithSandbox(t, { sandbox: SMALL_SANDBOX })
    let hasArrived = false
    app.get('/never', { config: OPEN }, async () => {
      hasArrived = true
      await new Promise(() => {})
    })
    await sandbox.admin('faults', { kind: 'hang', match: { path: 'project/search' } })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const base = `http://127.0.0.1:${port}`
    await new Browser(app).connect('jira')
    const stream = await open(`${base}/integrations/jira/sync/runs/1/events`)
    t.equal(stream.statusCode, 200)
    const never = fetch(`${base}/never`)
    await waitFor(() => hasArrived)
    passFiveMinutes(t)
    t.equal((await never).status, 503)
    t.equal((await fetch(`${base}/livez`)).status, 200)
    t.equal(stream.closed || stream.readableEnded, false)
    stream.destroy()
  }
)

for (const [name, path] of [
  ['A whole list', '/confluence/pages/1'],
  ['An export', '/users/1/export']
] as const) {
  t.test(`${name} that a client reads for five minutes is complete`, async (t) => {
    const { app } = await buildTestApp(t)
    await app.store.users.findOrCreate('ada@example.com', null)
    await storePages(app, PAGE_COUNT)
    let hasArrived = false
    app.get('/never', { config: OPEN }, async () => {
      hasArrived = true
      await new Promise(() => {})
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const base = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
    const [response] = (await once(get(`${base}${path}`), 'response')) as [IncomingMessage]
    t.equal(response.statusCode, 200)
    const never = fetch(`${base}/never`)
    await waitFor(() => hasArrived)
    passFiveMinutes(t)
    // The one timer has looked at both.
    t.equal((await never).status, 503)
    t.ok(app.countOpenRequests() > 0, 'the response is still being sent')
    let text = ''
    for await (const chunk of response) text += String(chunk)
    JSON.parse(text)
    t.equal(text.split('"page_id":').length - 1, PAGE_COUNT)
  })
}
