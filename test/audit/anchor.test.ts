import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import t, { type Test } from 'tap'
import { buildTestApp, waitFor } from '../helper.ts'

interface Received {
  authorization: string | undefined
  anchor: { count: number; hash: string; at: string }
}

async function listen(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A receiver that answers with `status.code`. */
async function startReceiver(t: Test) {
  const received: Received[] = []
  const status = { code: 204 }
  const server = createHttpServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => {
      if (status.code < 300) {
        received.push({
          authorization: request.headers.authorization,
          anchor: JSON.parse(body) as Received['anchor']
        })
      }
      response.writeHead(status.code).end()
    })
  })
  const url = `http://127.0.0.1:${await listen(t, server)}/anchors`
  return { url, received, status }
}

t.test(
  'T18 After each change, the receiver gets the number of audit entries and the last hash',
  async (t) => {
    const { url, received } = await startReceiver(t)
    const { app, logText } = await buildTestApp(t, {
      AUDIT_ANCHOR_URL: url,
      AUDIT_ANCHOR_TOKEN: 'planted-anchor-token-1'
    })
    await app.ready()
    for (let i = 1; i <= 3; i++) {
      await app.inject({ method: 'POST', url: '/users', payload: { email: `p${i}@example.com` } })
    }
    await waitFor(() => received.at(-1)?.anchor.count === 3)
    const head = await app.store.audit.getHead()
    t.match(received.at(-1), {
      authorization: 'Bearer planted-anchor-token-1',
      anchor: { count: 3, hash: head?.hash, at: /^2/ }
    })
    t.notMatch(logText(), /planted-anchor-token/)
  }
)

t.test(
  'T18 While the receiver does not respond, changes go on, and it gets their end afterwards',
  async (t) => {
    const { url, received, status } = await startReceiver(t)
    const { app, lines } = await buildTestApp(t, { AUDIT_ANCHOR_URL: url })
    await app.ready()
    await waitFor(() => received.length === 1)
    status.code = 500
    for (let i = 1; i <= 5; i++) {
      const payload = { email: `p${i}@example.com` }
      t.equal((await app.inject({ method: 'POST', url: '/users', payload })).statusCode, 201)
    }
    await waitFor(() => lines().some(({ event }) => event === 'audit_anchor_failed'))
    status.code = 204
    await waitFor(() => received.at(-1)?.anchor.count === 5)
    t.equal(lines().filter(({ event }) => event === 'audit_anchor_failed').length, 1, 'logged once')
  }
)

t.test(
  'T18 In blocking mode, changes wait for the receiver, and are refused without it; reads go on',
  async (t) => {
    const { url, received, status } = await startReceiver(t)
    const { app } = await buildTestApp(t, {
      AUDIT_ANCHOR_URL: url,
      AUDIT_ANCHOR_BLOCKING: 'true'
    })
    await app.ready()
    const create = async (email: string) =>
      await app.inject({ method: 'POST', url: '/users', payload: { email } })
    t.equal((await create('a@example.com')).statusCode, 201)
    t.match(received.at(-1)?.anchor, { count: 1 })
    status.code = 500
    const unconfirmed = await create('b@example.com')
    t.match(
      [unconfirmed.statusCode, unconfirmed.json()],
      [503, { code: 'unavailable', detail: /^The action was done and is in the audit trail/ }]
    )
    t.match((await create('c@example.com')).json(), {
      code: 'unavailable',
      detail: /^Nothing was done/
    })
    const users = await app.inject('/users')
    t.same(
      users.json<Array<{ email: string }>>().map(({ email }) => email),
      ['a@example.com', 'b@example.com']
    )
    status.code = 204
    await waitFor(() => received.at(-1)?.anchor.count === 2)
    t.equal((await create('c@example.com')).statusCode, 201)
    t.match(received.at(-1)?.anchor, { count: 3 })
  }
)

t.test(
  'T18 A syslog receiver gets each anchor as one framed message (RFC 5424, RFC 6587)',
  async (t) => {
    const messages: string[] = []
    const port = await listen(
      t,
      createServer((socket) => {
        let text = ''
        socket.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        socket.on('end', () => messages.push(text))
      })
    )
    const { app } = await buildTestApp(t, { AUDIT_ANCHOR_URL: `syslog+tcp://127.0.0.1:${port}` })
    await app.ready()
    await app.inject({ method: 'POST', url: '/users', payload: { email: 'a@example.com' } })
    await waitFor(() => messages.some((message) => message.includes('"count":1')))
    const message = messages.at(-1) ?? ''
    const [, length, content = ''] = /^(\d+) (.*)$/s.exec(message) ?? []
    t.equal(Number(length), Buffer.byteLength(content))
    t.match(
      content,
      /^<110>1 \S+Z \S+ connector \d+ audit_anchor - \{"count":1,"hash":"test\.[\w-]{43}"\}$/
    )
  }
)

t.test(
  'The receiver must be one that keeps the token secret, and that can confirm in blocking mode',
  async (t) => {
    for (const [env, problem] of [
      [
        { AUDIT_ANCHOR_URL: 'http://log.example.com/' },
        /AUDIT_ANCHOR_URL must be an https address/
      ],
      [{ AUDIT_ANCHOR_URL: 'syslog+tcp://' }, /AUDIT_ANCHOR_URL must be/],
      [
        { AUDIT_ANCHOR_URL: 'syslog+tls://log.example.com', AUDIT_ANCHOR_BLOCKING: 'true' },
        /AUDIT_ANCHOR_BLOCKING requires an https address/
      ],
      [{ AUDIT_ANCHOR_BLOCKING: 'true' }, /AUDIT_ANCHOR_BLOCKING requires an https address/]
    ] as const) {
      await t.rejects(buildTestApp(t, env), { message: problem })
    }
  }
)
