import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { build } from '../helper.ts'
import { problem, REQUEST_ID, type Answered } from './helper.ts'

async function listening(t: Test) {
  const { app, lines } = await build(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { app, lines, port, send: (bytes: string | Buffer) => exchange(port, bytes) }
}

/** Sends bytes and reads until the other side closes. */
async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  return await new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes)
    })
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {
      /* closed under us: what came before counts */
    })
    socket.on('close', () => {
      resolve(Buffer.concat(chunks).toString('latin1'))
    })
  })
}

/** The answers in a stream of them. */
function answers(text: string): Answered[] {
  const found: Answered[] = []
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
    found.push({
      status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
      header: (name) => headers.get(name),
      body: Buffer.from(body, 'latin1').subarray(0, length).toString('utf8')
    })
    rest = Buffer.from(body, 'latin1').subarray(length).toString('latin1')
  }
  return found
}

const H = 'Host: a\r\nConnection: close\r\n'

t.test(
  'C9 T15 What is not HTTP gets a problem document with a request id, and the connection is closed',
  async (t) => {
    const { send, port } = await listening(t)
    const garbage: Array<[string, string | Buffer]> = [
      ['words', 'hello there\r\n\r\n'],
      ['zeros', Buffer.alloc(64)],
      ['a TLS greeting', Buffer.from('160301020001000', 'hex')],
      ['random bytes', Buffer.from('deadbeefcafebabe0d0a0d0a', 'hex')],
      ['an unknown method', `BREW / HTTP/1.1\r\n${H}\r\n`],
      ['a wrong version', `GET / HTTP/9.9\r\n${H}\r\n`],
      ['a header without a colon', `GET / HTTP/1.1\r\n${H}broken\r\n\r\n`],
      ['a space before the colon', `GET / HTTP/1.1\r\n${H}X-A : b\r\n\r\n`],
      ['a NUL in a header', `GET / HTTP/1.1\r\n${H}X-A: a\0b\r\n\r\n`],
      [
        'two lengths',
        `POST /users HTTP/1.1\r\n${H}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`
      ],
      ['a negative length', `POST /users HTTP/1.1\r\n${H}Content-Length: -1\r\n\r\n`],
      [
        'length and chunks',
        `POST /users HTTP/1.1\r\n${H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
      ],
      ['a bare CR', `GET / HTTP/1.1\r\n${H}X-A: a\rb\r\n\r\n`],
      ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n']
    ]
    for (const [name, bytes] of garbage) {
      const [answer, ...more] = answers(await send(bytes))
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
      problem(t, answer, answer.status, JSON.parse(answer.body).code, name)
      t.match(
        [
          answer.header('x-content-type-options'),
          answer.header('referrer-policy'),
          answer.header('cache-control')
        ],
        ['nosniff', 'no-referrer', 'no-store']
      )
      t.equal(more.length, 0, `${name}: no second answer`)
    }
    // A request has begun here, and whatever was said now could be taken for its answer: the connection just ends.
    for (const coding of ['gzip, x\r\n\r\n', 'chunked\r\n\r\nzz\r\n']) {
      const said = answers(
        await send(
          `POST /users HTTP/1.1\r\n${H}Content-Type: application/json\r\nTransfer-Encoding: ${coding}`
        )
      )
      t.ok(
        said.length === 0 || (said.length === 1 && [400, 501].includes(said[0]?.status ?? 0)),
        `${JSON.stringify(coding)}: ${said.length} answers`
      )
    }
    problem(
      t,
      answers(
        await send(`GET / HTTP/1.1\r\n${H}X-Long: ${'x'.repeat(20_000)}\r\n\r\n`)
      )[0] as Answered,
      431,
      'request_header_fields_too_large'
    )
    t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200, 'and the service goes on')
  }
)

t.test('C9 Odd paths over a real socket are refused as problem documents', async (t) => {
  const { send } = await listening(t)
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
    const [answer] = answers(await send(Buffer.from(`GET ${path} HTTP/1.1\r\n${H}\r\n`, 'latin1')))
    if (answer === undefined) {
      t.fail(`${path}: no answer`)
      continue
    }
    // Which of the refusals it is matters less than that it is one.
    if (answer.status === 400) problem(t, answer, 400, 'bad_request', path.slice(0, 40))
    else if (answer.status === 404) problem(t, answer, 404, 'not_found', path.slice(0, 40))
    else problem(t, answer, status, code, path.slice(0, 40))
  }
})

t.test('C5 T32 A body without an announced length is cut off at the limit', async (t) => {
  const { send } = await listening(t)
  const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
  const [answer] = answers(
    await send(
      `POST /users HTTP/1.1\r\n${H}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(2)}0\r\n\r\n`
    )
  )
  problem(t, answer as Answered, 413, 'payload_too_large')
})

t.test(
  'C8 T19 X-Request-ID in the raw: line breaks and duplicates are not taken over',
  async (t) => {
    const { send, lines } = await listening(t)
    const twice = answers(
      await send(`GET /users/9 HTTP/1.1\r\n${H}X-Request-ID: one\r\nX-Request-ID: two\r\n\r\n`)
    )[0] as Answered
    problem(t, twice, 404, 'user_not_found')
    t.match(twice.header('x-request-id'), REQUEST_ID)
    t.not(twice.header('x-request-id'), 'one, two')
    const folded = await send(
      `GET /users/9 HTTP/1.1\r\n${H}X-Request-ID: one\r\n two: planted\r\n\r\n`
    )
    t.notMatch(folded, /^ ?two: planted/m)
    t.ok(lines().every(({ request_id: id }) => id === undefined || REQUEST_ID.test(id)))
  }
)

t.test('C9 Pipelined requests are answered in turn, each with its own id', async (t) => {
  const { send } = await listening(t)
  const found = answers(
    await send(
      `GET /users/1 HTTP/1.1\r\nHost: a\r\nX-Request-ID: p1\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-ID: p2\r\n\r\nGET /%zz HTTP/1.1\r\n${H}X-Request-ID: p3\r\n\r\n`
    )
  )
  t.same(
    found.map(({ status, header }) => [status, header('x-request-id')]),
    [
      [404, 'p1'],
      [404, 'p2'],
      [400, 'p3']
    ]
  )
})

t.test(
  'C5 T32 Too many headers and a body that is shorter than announced do not hold a socket',
  async (t) => {
    const { send, port } = await listening(t)
    const many = Array.from({ length: 3_000 }, (_, i) => `X-${i}: 1\r\n`).join('')
    t.ok(
      [200, 431].includes(
        (answers(await send(`GET / HTTP/1.1\r\n${H}${many}\r\n`))[0] as Answered).status
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
