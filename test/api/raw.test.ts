import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { buildTestApp } from '../helper.ts'
import { assertProblem, REQUEST_ID_PATTERN, type TestResponse } from './helper.ts'

async function startListeningApp(t: Test) {
  const { app, lines } = await buildTestApp(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { app, lines, port, send: (bytes: string | Buffer) => exchangeBytes(port, bytes) }
}

/** Sends bytes and reads until the server closes the connection. */
async function exchangeBytes(port: number, bytes: string | Buffer): Promise<string> {
  return await new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes)
    })
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {
      /* the server closed the connection: keep what was received */
    })
    socket.on('close', () => {
      resolve(Buffer.concat(chunks).toString('latin1'))
    })
  })
}

/** Splits a byte stream into responses. */
function parseResponses(text: string): TestResponse[] {
  const responses: TestResponse[] = []
  for (let rest = text; rest !== '';) {
    const [head = '', ...bodies] = rest.split('\r\n\r\n')
    const headers = new Map(
      head
        .split('\r\n')
        .slice(1)
        .map((line) => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 1).trim()
        ])
    )
    const length = Number(headers.get('content-length') ?? 0)
    const body = bodies.join('\r\n\r\n')
    responses.push({
      status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
      header: (name) => headers.get(name),
      body: Buffer.from(body, 'latin1').subarray(0, length).toString('utf8')
    })
    rest = Buffer.from(body, 'latin1').subarray(length).toString('latin1')
  }
  return responses
}

const HOST_HEADERS = 'Host: a\r\nConnection: close\r\n'

t.test(
  'C9 T15 Answers malformed HTTP with a problem document that has a request id, and closes the connection',
  async (t) => {
    const { send, port } = await startListeningApp(t)
    const garbage: Array<[string, string | Buffer]> = [
      ['words', 'hello there\r\n\r\n'],
      ['zeros', Buffer.alloc(64)],
      ['a TLS greeting', Buffer.from('160301020001000', 'hex')],
      ['random bytes', Buffer.from('deadbeefcafebabe0d0a0d0a', 'hex')],
      ['an unknown method', `BREW / HTTP/1.1\r\n${HOST_HEADERS}\r\n`],
      ['two Host headers', 'GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\nConnection: close\r\n\r\n'],
      ['two equal Host headers', `GET / HTTP/1.1\r\nHost: a\r\n${HOST_HEADERS}\r\n`],
      ['HTTP/0.9 without a version', 'GET /\r\n\r\n'],
      ['HTTP/0.9', `GET / HTTP/0.9\r\n${HOST_HEADERS}\r\n`],
      ['a wrong version', `GET / HTTP/9.9\r\n${HOST_HEADERS}\r\n`],
      ['a header without a colon', `GET / HTTP/1.1\r\n${HOST_HEADERS}broken\r\n\r\n`],
      ['a space before the colon', `GET / HTTP/1.1\r\n${HOST_HEADERS}X-A : b\r\n\r\n`],
      ['a NUL in a header', `GET / HTTP/1.1\r\n${HOST_HEADERS}X-A: a\0b\r\n\r\n`],
      [
        'two lengths',
        `POST /users HTTP/1.1\r\n${HOST_HEADERS}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`
      ],
      ['a negative length', `POST /users HTTP/1.1\r\n${HOST_HEADERS}Content-Length: -1\r\n\r\n`],
      [
        'length and chunks',
        `POST /users HTTP/1.1\r\n${HOST_HEADERS}Content-Length: 5\r\nTransfer-Encoding: ` +
          'chunked\r\n\r\n0\r\n\r\n'
      ],
      ['a bare CR', `GET / HTTP/1.1\r\n${HOST_HEADERS}X-A: a\rb\r\n\r\n`],
      ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n']
    ]
    for (const [name, bytes] of garbage) {
      const [answer, ...more] = parseResponses(await send(bytes))
      if (answer === undefined) {
        t.fail(`${name}: no answer`)
        continue
      }
      t.ok(answer.status >= 400 && answer.status < 500, `${name}: ${answer.status}`)
      t.match(
        answer.header('content-type'),
        /^application\/problem\+json/,
        `${name}: problem document`
      )
      assertProblem(t, answer, answer.status, JSON.parse(answer.body).code, name)
      t.match(
        [
          answer.header('x-content-type-options'),
          answer.header('referrer-policy'),
          answer.header('cache-control')
        ],
        ['nosniff', 'no-referrer', 'no-store']
      )
      t.equal(more.length, 0, `${name}: no second response`)
    }
    // A response has started, so an error response would look like part of it: the server only
    // closes the connection.
    for (const coding of ['gzip, x\r\n\r\n', 'chunked\r\n\r\nzz\r\n']) {
      const responses = parseResponses(
        await send(
          `POST /users HTTP/1.1\r\n${HOST_HEADERS}Content-Type: application/json\r\n` +
            `Transfer-Encoding: ${coding}`
        )
      )
      t.ok(
        responses.length === 0 ||
          (responses.length === 1 && [400, 501].includes(responses[0]?.status ?? 0)),
        `${JSON.stringify(coding)}: ${responses.length} responses`
      )
    }
    assertProblem(
      t,
      parseResponses(
        await send(`GET / HTTP/1.1\r\n${HOST_HEADERS}X-Long: ${'x'.repeat(20_000)}\r\n\r\n`)
      )[0] as TestResponse,
      431,
      'request_header_fields_too_large'
    )
    t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200, 'the service still answers')
  }
)

t.test('C9 Rejects malformed paths on a real socket with problem documents', async (t) => {
  const { send } = await startListeningApp(t)
  for (const [path, status, code] of [
    ['/%zz', 400, 'bad_request'],
    ['/users/%', 400, 'bad_request'],
    ['/users/%2e%2e', 422, 'validation_failed'],
    ['/users/..', 422, 'validation_failed'],
    ['/users/%2e%2e/healthz', 404, 'not_found'],
    ['//evil.example/users', 404, 'not_found'],
    ['/users//1', 404, 'not_found'],
    ['/api/users/%2e', 422, 'validation_failed'],
    ['/users/١', 422, 'validation_failed'],
    ['/users/\xff', 422, 'validation_failed'],
    ['/users;a=b', 404, 'not_found'],
    [`/users/${'9'.repeat(200)}`, 422, 'validation_failed'],
    [`/${'x'.repeat(4000)}`, 404, 'not_found']
  ] as const) {
    const [answer] = parseResponses(
      await send(Buffer.from(`GET ${path} HTTP/1.1\r\n${HOST_HEADERS}\r\n`, 'latin1'))
    )
    if (answer === undefined) {
      t.fail(`${path}: no answer`)
      continue
    }
    // Any refusal is correct here.
    if (answer.status === 400) assertProblem(t, answer, 400, 'bad_request', path.slice(0, 40))
    else if (answer.status === 404) assertProblem(t, answer, 404, 'not_found', path.slice(0, 40))
    else assertProblem(t, answer, status, code, path.slice(0, 40))
  }
})

t.test('C5 T32 Stops reading a chunked body at the size limit', async (t) => {
  const { send } = await startListeningApp(t)
  const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
  const [answer] = parseResponses(
    await send(
      `POST /users HTTP/1.1\r\n${HOST_HEADERS}Content-Type: application/json\r\n` +
        `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(2)}0\r\n\r\n`
    )
  )
  assertProblem(t, answer as TestResponse, 413, 'payload_too_large')
})

t.test(
  'C8 T19 Rejects X-Request-ID values with line breaks and duplicates on a raw connection',
  async (t) => {
    const { send, lines } = await startListeningApp(t)
    const twice = parseResponses(
      await send(
        `GET /users/9 HTTP/1.1\r\n${HOST_HEADERS}X-Request-ID: one\r\nX-Request-ID: two\r\n\r\n`
      )
    )[0] as TestResponse
    assertProblem(t, twice, 404, 'user_not_found')
    t.match(twice.header('x-request-id'), REQUEST_ID_PATTERN)
    t.not(twice.header('x-request-id'), 'one, two')
    const folded = await send(
      `GET /users/9 HTTP/1.1\r\n${HOST_HEADERS}X-Request-ID: one\r\n two: planted\r\n\r\n`
    )
    t.notMatch(folded, /^ ?two: planted/m)
    t.ok(lines().every(({ request_id: id }) => id === undefined || REQUEST_ID_PATTERN.test(id)))
  }
)

t.test('C9 Answers pipelined requests in order, each with its own id', async (t) => {
  const { send } = await startListeningApp(t)
  const responses = parseResponses(
    await send(
      'GET /users/1 HTTP/1.1\r\nHost: a\r\nX-Request-ID: p1\r\n\r\nGET /nothing ' +
        'HTTP/1.1\r\nHost: a\r\nX-Request-ID: p2\r\n\r\nGET /%zz HTTP/1.1\r\n' +
        `${HOST_HEADERS}X-Request-ID: p3\r\n\r\n`
    )
  )
  t.same(
    responses.map(({ status, header }) => [status, header('x-request-id')]),
    [
      [404, 'p1'],
      [404, 'p2'],
      [400, 'p3']
    ]
  )
})

t.test(
  'C5 T32 Too many headers, or a body shorter than announced, do not keep a socket open',
  async (t) => {
    const { send, port } = await startListeningApp(t)
    const many = Array.from({ length: 3_000 }, (_, i) => `X-${i}: 1\r\n`).join('')
    t.ok(
      [200, 431].includes(
        (
          parseResponses(
            await send(`GET / HTTP/1.1\r\n${HOST_HEADERS}${many}\r\n`)
          )[0] as TestResponse
        ).status
      )
    )
    const socket = connect(port, '127.0.0.1', () => {
      socket.end(
        'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}'
      )
    })
    await new Promise((resolve) =>
      socket
        .on('close', resolve)
        .resume()
        .on('error', () => {})
    )
    t.equal((await fetch(`http://127.0.0.1:${port}/users`)).status, 200)
  }
)
