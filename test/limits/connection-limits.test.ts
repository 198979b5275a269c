import { connect, type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import { buildTestApp, waitFor } from '../helper.ts'
import type { TestContext } from '../types.ts'

async function listen(t: TestContext, env: NodeJS.ProcessEnv = {}) {
  const { app, lines } = await buildTestApp(t, env)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { lines, port }
}

// `once` of node:events rejects on a reset, which is one of the ways in which a connection ends here.
const waitForClose = async (socket: Socket) =>
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
const waitForData = async (socket: Socket) =>
  await new Promise<void>((resolve) => socket.once('data', () => resolve()))

/** Sends requests at once; resolves when the service closes the connection. */
async function pipeline(port: number, requests: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    received += text
  })
  socket.on('error', () => {})
  socket.write(requests)
  await waitForClose(socket)
  return received
}

const get = (path: string, id: string, headers = '') =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nX-Request-ID: ${id}\r\n${headers}\r\n`

for (const OVERLOAD_AFTER_MS of ['0', '300']) {
  t.test(`T32 Pipelined requests begin one after another (${OVERLOAD_AFTER_MS} ms)`, async (t) => {
    const { lines, port } = await listen(t, { OVERLOAD_AFTER_MS })
    const ids = Array.from({ length: 11 }, (_, i) => `p${i}`)
    const received = await pipeline(
      port,
      ids.map((id) => get('/users/1', id, id === 'p10' ? 'Connection: close\r\n' : '')).join('')
    )
    t.same(
      [...received.matchAll(/x-request-id: (p\d+)/gi)].map(([, id]) => id),
      ids,
      'every response, in order'
    )
    const completed = lines().filter(({ event }) => event === 'request_completed')
    t.same(
      completed.map(({ request_id: id }) => id as string),
      ids
    )
  })

  t.test(
    `T32 A connection with more than ten waiting requests is closed (${OVERLOAD_AFTER_MS} ms)`,
    async (t) => {
      const { lines, port } = await listen(t, { OVERLOAD_AFTER_MS })
      const twelve = await pipeline(
        port,
        `${get('/users/1', 'one').repeat(11)}${get('/users/1', 'last', 'Connection: close\r\n')}`
      )
      t.notMatch(twelve, /last/, 'ten wait at most')
      for (const path of ['/users/1', '/nothing', '/%zz']) {
        const before = lines().length
        await pipeline(port, get(path, 'flood').repeat(5_000))
        t.ok(lines().length - before < 20, `${path}: ${lines().length - before} log lines`)
      }
      t.match(await pipeline(port, get('/users/1', 'next', 'Connection: close\r\n')), / 404 /)
    }
  )
}

t.test(
  'T32 One address has a limited number of connections, a trusted proxy has not',
  async (t) => {
    const open = async (port: number) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      t.teardown(() => socket.destroy())
      const closed = waitForClose(socket).then(() => 'closed')
      socket.write(get('/healthz', 'h'))
      return [socket, await Promise.race([waitForData(socket).then(() => 'open'), closed])] as const
    }
    const limited = await listen(t, { MAX_CONNECTIONS_PER_ADDRESS: '3' })
    const sockets: Socket[] = []
    for (const expected of ['open', 'open', 'open', 'closed', 'closed']) {
      const [socket, outcome] = await open(limited.port)
      t.equal(outcome, expected)
      if (outcome === 'open') sockets.push(socket)
    }
    const refusals = limited.lines().filter(({ event }) => event === 'connections_refused')
    t.match(refusals, [{ client_address: '127.0.0.1', refused: 1 }])
    t.equal(refusals.length, 1, 'logged once')
    sockets[0]?.destroy()
    await waitFor(async () => (await open(limited.port))[1] === 'open')

    const proxied = await listen(t, { MAX_CONNECTIONS_PER_ADDRESS: '3', TRUST_PROXY: 'loopback' })
    for (let i = 0; i < 6; i++) t.equal((await open(proxied.port))[1], 'open')
  }
)
